//! The file behind `database.path`: links to it, and what is no database at all.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::command::{Run, daybook};
use crate::common::hold::{WriteLock, asking, lock_file, wait_until_queued};
use crate::common::server::{Server, fails_to_start};
use crate::common::{SOON, seed};
use rusqlite::Connection;
use tempfile::TempDir;

/// A directory, `data` in it, and a path of a database in that.
fn directory() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(dir.path().join("data")).expect("a directory");
    let path = dir.path().join("data/requests.db");
    (dir, path)
}

fn start(database: &Path) -> Server {
    Server::with(|c| {
        c.text("database.path", database.display());
    })
}

fn init(database: &Path, create: bool) -> Run {
    daybook(
        database.parent().expect("its directory"),
        &["init"],
        &[
            ("DAYBOOK_DATABASE__PATH", &database.display().to_string()),
            ("DAYBOOK_DATABASE__CREATE", &create.to_string()),
            ("DAYBOOK_DATABASE__BUSY_TIMEOUT", "300ms"),
        ],
    )
}

fn is_refused(run: &Run, database: &Path, words: &[&str]) {
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    let first = run.complaint();
    assert!(first.contains(&database.display().to_string()), "{first}");
    for word in words {
        assert!(first.contains(word), "{word} is not in: {first}");
    }
}

fn execute(database: &Path, sql: &str) {
    let connection = Connection::open(database).expect("opening");
    connection.execute_batch(sql).expect(sql);
}

/// The names in a database's directory, and what is in the files.
fn everything_beside(database: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(database.parent().expect("its directory"))
        .expect("listing")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let content = fs::read(&path).expect("reading");
            (path, content)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_replica_that_goes_through_a_link_shares_lock_and_sizes_with_one_that_does_not() {
    let (dir, path) = directory();
    let link = dir.path().join("link.db");
    symlink("data/requests.db", &link).expect("a link");
    // Through the link first, which leads nowhere yet.
    let linked = start(&link);
    let direct = start(&path);
    assert_eq!(linked.get("/1").record_id(), Some(1));
    assert_eq!(direct.get("/2").record_id(), Some(2));
    assert!(lock_file(&path).exists() && !lock_file(&link).exists());
    for name in ["daybook_wal_bytes", "daybook_database_bytes"] {
        let (one, other) = (linked.metric(name, &[]), direct.metric(name, &[]));
        assert!(one > 0.0 && one == other, "{name}: {one}, {other}");
    }
    assert_eq!(linked.get_admin("/requests/2").status, 200);

    let held = WriteLock::take(&path);
    let mut client = asking(&linked, "/3");
    wait_until_queued(&linked, 1);
    assert!(client.is_silent(), "it uses another lock");
    drop(held);
    assert_eq!(client.answer().record_id(), Some(3));
}

#[test]
fn a_link_that_is_turned_while_it_runs_changes_nothing() {
    let (dir, path) = directory();
    let link = dir.path().join("link.db");
    symlink(&path, &link).expect("a link");
    let server = start(&link);
    assert_eq!(server.get("/1").record_id(), Some(1));
    fs::remove_file(&link).expect("removing the link");
    symlink("data/other.db", &link).expect("another link");
    assert_eq!(server.get("/2").record_id(), Some(2));
    assert_eq!(server.get_admin("/requests/2").status, 200);
    assert!(server.metric("daybook_wal_bytes", &[]) > 0.0);
}

#[test]
fn what_is_no_file_is_refused() {
    let (_dir, path) = directory();
    fs::create_dir(&path).expect("a directory");
    is_refused(&init(&path, true), &path, &["not a file"]);
    fs::remove_dir(&path).expect("removing it");
    let status = Command::new("mkfifo").arg(&path).status();
    assert!(status.expect("starting mkfifo").success());
    is_refused(&init(&path, true), &path, &["not a file"]);
    assert!(!lock_file(&path).exists());
}

#[test]
fn an_empty_file_is_missing_where_it_may_not_be_created() {
    let (_dir, path) = directory();
    File::create(&path).expect("creating an empty file");
    is_refused(&init(&path, false), &path, &["empty", "restore"]);
    assert!(!lock_file(&path).exists());
    assert_eq!(path.metadata().expect("the file").len(), 0);
}

/// A database whose replica was killed: some of its rows are in the log alone.
fn killed_with_rows(path: &Path) -> i64 {
    let mut server = start(path);
    for n in 1..=5 {
        assert_eq!(server.get("/").record_id(), Some(n));
    }
    server.signal("KILL");
    server.wait_exit(SOON);
    5
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn is_untouched(path: &Path, before: &[(PathBuf, Vec<u8>)]) {
    assert!(everything_beside(path) == before, "something was touched");
}

#[test]
fn a_log_whose_database_is_lost_is_kept_and_of_use_when_that_is_back() {
    let (dir, path) = directory();
    let rows = killed_with_rows(&path);
    let kept = dir.path().join("kept.db");
    fs::rename(&path, &kept).expect("moving the database away");
    let log = beside(&path, "-wal").display().to_string();
    for is_there in [false, true] {
        if is_there {
            File::create(&path).expect("an empty file");
        }
        let before = everything_beside(&path);
        for create in [true, false] {
            is_refused(&init(&path, create), &path, &["damaged", &log, "restore"]);
            is_untouched(&path, &before);
        }
        let failure = fails_to_start(|c| {
            c.text("database.path", path.display());
        });
        assert_eq!(failure.code, Some(78), "{}", failure.stderr);
        is_untouched(&path, &before);
    }
    fs::rename(&kept, &path).expect("putting it back");
    assert_eq!(start(&path).rows(), rows);
}

#[test]
fn an_empty_log_is_no_obstacle_to_a_new_database() {
    let (_dir, path) = directory();
    File::create(beside(&path, "-wal")).expect("an empty log");
    assert_eq!(init(&path, true).code, Some(0));
}

#[test]
fn a_log_that_sqlite_would_take_for_an_empty_one_is_refused() {
    let (_dir, path) = directory();
    let rows = killed_with_rows(&path);
    let log = beside(&path, "-wal");
    let header = fs::read(&log).expect("the log")[..32].to_vec();
    let write = |bytes: &[u8]| {
        let file = File::options().write(true).open(&log).expect("the log");
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).expect("writing");
    };
    write(&[0; 32]);
    let before = everything_beside(&path);
    is_refused(&init(&path, true), &path, &["damaged", "-wal", "restore"]);
    is_untouched(&path, &before);
    write(&header);
    assert_eq!(start(&path).rows(), rows);
}

#[test]
fn a_rollback_journal_whose_database_is_lost_is_kept() {
    let journal_of = |sql: &str, path: &Path| {
        let connection = Connection::open(path).expect("opening");
        connection.execute_batch(sql).expect(sql);
        // More than the cache holds: pages are written before the commit, and the journal before them.
        connection
            .execute_batch("insert into t select zeroblob(100000)")
            .expect("a large row");
        fs::read(beside(path, "-journal")).expect("its journal")
    };
    let (dir, path) = directory();
    let other = dir.path().join("other.db");
    let journal = beside(&path, "-journal");
    // Of a creation that was interrupted: there is nothing to lose.
    let created = journal_of(
        "pragma cache_size = 1; begin immediate; create table t (x)",
        &other,
    );
    fs::write(&journal, created).expect("a journal");
    assert_eq!(init(&path, true).code, Some(0));

    fs::remove_file(&path).expect("removing");
    let of_pages = "pragma cache_size = 1; create table t (x); begin immediate";
    let changed = journal_of(of_pages, &other);
    fs::write(&journal, changed).expect("a journal");
    let before = everything_beside(&path);
    let named = journal.display().to_string();
    is_refused(&init(&path, true), &path, &["damaged", &named]);
    is_untouched(&path, &before);
}

#[test]
fn another_programs_database_is_left_as_it_was_with_nothing_beside_it() {
    let notes = "create table notes(text); insert into notes values ('a')";
    for journal_mode in ["delete", "wal"] {
        let (_dir, path) = directory();
        execute(
            &path,
            &format!("pragma journal_mode={journal_mode}; {notes}"),
        );
        let before = everything_beside(&path);
        is_refused(&init(&path, true), &path, &["another", "notes"]);
        assert!(everything_beside(&path) == before, "{journal_mode}");
    }
}

#[test]
fn a_log_that_another_program_left_when_it_crashed_is_left_to_it() {
    let (_dir, path) = directory();
    execute(&path, "pragma journal_mode=wal; create table notes(text)");
    let crashed = path.with_file_name("crashed.db");
    let owner = Connection::open(&path).expect("opening");
    owner
        .execute_batch("insert into notes values ('in the log only')")
        .expect("a row");
    for suffix in ["", "-wal"] {
        let file = |path: &Path| format!("{}{suffix}", path.display());
        fs::copy(file(&path), file(&crashed)).expect("copying");
    }
    let read = |suffix: &str| fs::read(format!("{}{suffix}", crashed.display())).expect("reading");
    let before = (read(""), read("-wal"));
    is_refused(&init(&crashed, true), &crashed, &["another", "notes"]);
    assert!((read(""), read("-wal")) == before, "its log was touched");
    assert!(!lock_file(&crashed).exists());
}

/// Runs as nobody, so this test must run as root.
#[test]
fn a_file_that_may_not_be_written_is_refused() {
    let (dir, path) = directory();
    assert_eq!(init(&path, true).code, Some(0));
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("setting permissions");
    };
    // Nobody may not enter where the program is built. (`cp`, for a file that we had open ourselves to write, a child
    // of another test's may still have, and then it cannot be executed.)
    let program = dir.path().join("daybook");
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_daybook")).arg(&program);
    assert!(copy.status().expect("starting cp").success());
    let directory = path.parent().expect("its directory");
    let run = |locks: u32, file: u32, directory_mode: u32| {
        allow(&lock_file(&path), locks);
        allow(&path, file);
        allow(directory, directory_mode);
        let output = Command::new(&program)
            .args(["init", "--config", "/dev/null"])
            .env("DAYBOOK_DATABASE__PATH", &path)
            .uid(65534)
            .gid(65534)
            .output()
            .expect("starting daybook");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    };
    allow(dir.path(), 0o755);
    for (locks, file, directory_mode) in [
        (0o666, 0o644, 0o777),
        (0o666, 0o600, 0o777),
        (0o644, 0o666, 0o777),
        (0o666, 0o666, 0o755),
    ] {
        let before = everything_beside(&path);
        let (code, stderr) = run(locks, file, directory_mode);
        assert_eq!(code, Some(78), "{stderr}");
        assert!(
            stderr.contains(&directory.display().to_string()),
            "{stderr}"
        );
        assert!(stderr.contains("Permission denied"), "{stderr}");
        assert!(everything_beside(&path) == before);
    }
    let (code, stderr) = run(0o666, 0o666, 0o777);
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_schema_table_that_names_no_version_is_refused() {
    for sql in [
        "delete from daybook_schema",
        "insert into daybook_schema values (1, 1)",
        "update daybook_schema set version = 'one'",
        "drop table daybook_schema; create table daybook_schema(text)",
        // Nor is it ours without the id.
        "pragma application_id = 0; delete from daybook_schema",
    ] {
        let (_dir, path) = directory();
        assert_eq!(init(&path, true).code, Some(0));
        execute(&path, sql);
        println!("{sql}");
        is_refused(&init(&path, true), &path, &["daybook_schema"]);
    }
}

#[test]
fn a_table_whose_name_has_other_letters_is_refused() {
    let (_dir, path) = directory();
    drop(seed::create(&path));
    execute(
        &path,
        "alter table requests rename to r; alter table r rename to Requests",
    );
    is_refused(&init(&path, true), &path, &["another", "Requests"]);
}

#[test]
fn init_says_what_it_did() {
    let (_dir, path) = directory();
    let says = |words: &str| {
        let run = init(&path, true);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains(words), "{}", run.stdout);
    };
    File::create(&path).expect("an empty file");
    says("created");
    says("already at this version's schema");
    fs::remove_file(&path).expect("removing it");
    seed::create_with_rows(&path);
    says("migrated to this version's schema");
    says("already at this version's schema");
    // It is not asked to write, so it does not wait for who does.
    let _busy = crate::common::hold::WriteTransaction::begin(&path);
    says("already at this version's schema");
}
