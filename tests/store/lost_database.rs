//! A WAL or a rollback journal whose database is missing: SQLite would delete it, daybook refuses to start.

use std::fs::{self, File};
use std::path::Path;

use super::{
    assert_start_refused, beside, database_path, everything_beside, init, is_untouched, replica,
};
use crate::common::TIMEOUT;
use crate::common::server::fails_to_start;
use rusqlite::Connection;

/// A database whose replica was killed, so that some rows are only in the WAL; returns the number of rows.
fn killed_with_rows(path: &Path) -> i64 {
    let mut server = replica(path);
    for n in 1..=5 {
        assert_eq!(server.get("/").record_id(), Some(n));
    }
    server.signal("KILL");
    server.wait_exit(TIMEOUT);
    5
}

#[test]
fn a_wal_whose_database_is_lost_is_kept_until_the_database_is_back() {
    let (dir, path) = database_path();
    let rows = killed_with_rows(&path);
    let kept = dir.path().join("kept.db");
    fs::rename(&path, &kept).expect("moving the database away");
    let wal = beside(&path, "-wal").display().to_string();
    for is_there in [false, true] {
        if is_there {
            File::create(&path).expect("an empty file");
        }
        let before = everything_beside(&path);
        for create in [true, false] {
            assert_start_refused(&init(&path, create), &path, &["damaged", &wal, "restore"]);
            is_untouched(&path, &before);
        }
        let failure = fails_to_start(|c| {
            c.text("database.path", path.display());
        });
        assert_eq!(failure.code, Some(78), "{}", failure.stderr);
        is_untouched(&path, &before);
    }
    fs::rename(&kept, &path).expect("putting it back");
    assert_eq!(replica(&path).rows(), rows);
}

#[test]
fn an_empty_wal_does_not_prevent_a_new_database() {
    let (_dir, path) = database_path();
    File::create(beside(&path, "-wal")).expect("an empty WAL");
    assert_eq!(init(&path, true).code, Some(0));
}

#[test]
fn a_wal_with_an_invalid_header_is_refused() {
    let (_dir, path) = database_path();
    let rows = killed_with_rows(&path);
    let wal = beside(&path, "-wal");
    let header = fs::read(&wal).expect("the WAL")[..32].to_vec();
    let write = |bytes: &[u8]| {
        let file = File::options().write(true).open(&wal).expect("the WAL");
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).expect("writing");
    };
    write(&[0; 32]);
    let before = everything_beside(&path);
    assert_start_refused(&init(&path, true), &path, &["damaged", "-wal", "restore"]);
    is_untouched(&path, &before);
    write(&header);
    assert_eq!(replica(&path).rows(), rows);
}

#[test]
fn a_rollback_journal_whose_database_is_lost_is_kept() {
    let journal_of = |sql: &str, path: &Path| {
        let connection = Connection::open(path).expect("opening");
        connection.execute_batch(sql).expect(sql);
        // More than fits into the cache: SQLite writes the journal, then the pages, before the commit.
        connection
            .execute_batch("insert into t select zeroblob(100000)")
            .expect("a large row");
        fs::read(beside(path, "-journal")).expect("its journal")
    };
    let (dir, path) = database_path();
    let other = dir.path().join("other.db");
    let journal = beside(&path, "-journal");
    // From an interrupted creation: there is nothing to lose.
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
    assert_start_refused(&init(&path, true), &path, &["damaged", &named]);
    is_untouched(&path, &before);
}
