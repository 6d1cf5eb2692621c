//! The file behind `database.path`: links, permissions, files that are no database of daybook, and `daybook init`.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{assert_start_refused, database_path, everything_beside, init, is_untouched, replica};
use crate::common::command::copy_program;
use crate::common::locks::{WriteLock, WriteTransaction, lock_file, send_get, wait_until_queued};
use crate::common::{db, seed};
use rusqlite::Connection;

fn execute(database: &Path, sql: &str) {
    let connection = Connection::open(database).expect("opening");
    connection.execute_batch(sql).expect(sql);
}

#[test]
fn a_replica_that_goes_through_a_link_shares_lock_and_sizes_with_one_that_does_not() {
    let (dir, path) = database_path();
    let link = dir.path().join("link.db");
    symlink("data/requests.db", &link).expect("a link");
    // Through the link first, while its target does not exist yet.
    let linked = replica(&link);
    let direct = replica(&path);
    assert_eq!(linked.get("/1").record_id(), Some(1));
    assert_eq!(direct.get("/2").record_id(), Some(2));
    assert!(lock_file(&path).exists() && !lock_file(&link).exists());
    for name in ["daybook_wal_bytes", "daybook_database_bytes"] {
        let (one, other) = (linked.metric(name, &[]), direct.metric(name, &[]));
        assert!(one > 0.0 && one == other, "{name}: {one}, {other}");
    }
    assert_eq!(linked.get_admin("/requests/2").status, 200);

    let held = WriteLock::take(&path);
    let mut client = send_get(&linked, "/3");
    wait_until_queued(&linked, 1);
    assert!(client.is_silent(), "it uses another lock");
    drop(held);
    assert_eq!(client.response().record_id(), Some(3));
}

#[test]
fn a_link_that_is_changed_while_daybook_runs_has_no_effect() {
    let (dir, path) = database_path();
    let link = dir.path().join("link.db");
    symlink(&path, &link).expect("a link");
    let server = replica(&link);
    assert_eq!(server.get("/1").record_id(), Some(1));
    fs::remove_file(&link).expect("removing the link");
    symlink("data/other.db", &link).expect("another link");
    assert_eq!(server.get("/2").record_id(), Some(2));
    assert_eq!(server.get_admin("/requests/2").status, 200);
    assert!(server.metric("daybook_wal_bytes", &[]) > 0.0);
}

#[test]
fn a_directory_and_a_fifo_are_refused() {
    let (_dir, path) = database_path();
    fs::create_dir(&path).expect("a directory");
    assert_start_refused(&init(&path, true), &path, &["not a file"]);
    fs::remove_dir(&path).expect("removing it");
    let status = Command::new("mkfifo").arg(&path).status();
    assert!(status.expect("starting mkfifo").success());
    assert_start_refused(&init(&path, true), &path, &["not a file"]);
    assert!(!lock_file(&path).exists());
}

#[test]
fn an_empty_file_counts_as_missing_if_create_is_false() {
    let (_dir, path) = database_path();
    File::create(&path).expect("creating an empty file");
    assert_start_refused(&init(&path, false), &path, &["empty", "restore"]);
    assert!(!lock_file(&path).exists());
    assert_eq!(path.metadata().expect("the file").len(), 0);
}

#[test]
fn another_programs_database_is_refused_and_no_file_is_created_beside_it() {
    let notes = "create table notes(text); insert into notes values ('a')";
    for journal_mode in ["delete", "wal"] {
        let (_dir, path) = database_path();
        execute(
            &path,
            &format!("pragma journal_mode={journal_mode}; {notes}"),
        );
        let before = everything_beside(&path);
        assert_start_refused(&init(&path, true), &path, &["another", "notes"]);
        is_untouched(&path, &before);
    }
}

#[test]
fn a_wal_that_a_crashed_program_left_is_not_touched() {
    let (_dir, path) = database_path();
    execute(&path, "pragma journal_mode=wal; create table notes(text)");
    let crashed = path.with_file_name("crashed.db");
    let owner = Connection::open(&path).expect("opening");
    owner
        .execute_batch("insert into notes values ('in the WAL only')")
        .expect("a row");
    for suffix in ["", "-wal"] {
        let file = |path: &Path| format!("{}{suffix}", path.display());
        fs::copy(file(&path), file(&crashed)).expect("copying");
    }
    let read = |suffix: &str| fs::read(format!("{}{suffix}", crashed.display())).expect("reading");
    let before = (read(""), read("-wal"));
    assert_start_refused(&init(&crashed, true), &crashed, &["another", "notes"]);
    assert!((read(""), read("-wal")) == before, "its WAL was touched");
    assert!(!lock_file(&crashed).exists());
}

/// Starts daybook as the user nobody, so this test must run as root.
#[test]
fn a_file_without_write_permission_is_refused() {
    let (dir, path) = database_path();
    assert_eq!(init(&path, true).code, Some(0));
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("setting permissions");
    };
    let program = copy_program(dir.path());
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
        is_untouched(&path, &before);
    }
    let (code, stderr) = run(0o666, 0o666, 0o777);
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_schema_table_without_a_valid_version_is_refused() {
    for sql in [
        "delete from daybook_schema",
        "insert into daybook_schema values (1, 1)",
        "update daybook_schema set version = 'one'",
        "drop table daybook_schema; create table daybook_schema(text)",
        // Without the application_id, too.
        "pragma application_id = 0; delete from daybook_schema",
    ] {
        let (_dir, path) = database_path();
        assert_eq!(init(&path, true).code, Some(0));
        execute(&path, sql);
        println!("{sql}");
        assert_start_refused(&init(&path, true), &path, &["daybook_schema"]);
    }
}

#[test]
fn a_table_whose_name_differs_in_case_is_refused() {
    let (_dir, path) = database_path();
    drop(seed::create(&path));
    execute(
        &path,
        "alter table requests rename to r; alter table r rename to Requests",
    );
    assert_start_refused(&init(&path, true), &path, &["another", "Requests"]);
}

#[test]
fn init_creates_or_migrates_the_database_and_says_so() {
    let (_dir, path) = database_path();
    let says = |words: &str| {
        let run = init(&path, true);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        for words in [words, &path.display().to_string()] {
            assert!(run.stdout.contains(words), "{}", run.stdout);
        }
    };
    File::create(&path).expect("an empty file");
    says("created");
    says("already at this version's schema");
    let server = replica(&path);
    assert_eq!(server.get("/").record_id(), Some(1));
    // Beside a running server.
    says("already at this version's schema");
    assert_eq!(server.rows(), 1);
    drop(server);
    for file in ["requests.db", "requests.db-wal", "requests.db-shm"] {
        fs::remove_file(path.with_file_name(file)).expect("removing it");
    }
    seed::create_with_rows(&path);
    says("migrated to this version's schema");
    assert_eq!(db::count(&db::open(&path)), 3);
    says("already at this version's schema");
    // It has nothing to write, so it does not wait for a writer.
    let _transaction = WriteTransaction::begin(&path);
    says("already at this version's schema");
}
