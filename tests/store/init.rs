//! `daybook init`: create or migrate the database, and no more.

use std::fs;
use std::io::ErrorKind;

use crate::common::command::daybook;
use crate::common::server::Server;
use crate::common::{db, seed};
use rusqlite::Connection;

#[test]
fn init_creates_the_database_and_says_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("requests.db");
    let name = path.display().to_string();
    let init = || daybook(dir.path(), &["init"], &[("DAYBOOK_DATABASE__PATH", &name)]);
    for _ in 0..2 {
        let run = init();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let said = run.stdout + &run.stderr;
        assert!(said.contains(&name), "it did not say what it did: {said}");
    }
    let server = Server::with(|c| {
        c.text("database.path", path.display());
    });
    assert_eq!(server.get("/").record_id(), Some(1));
    // Beside a running server, too.
    assert_eq!(init().code, Some(0));
    assert_eq!(server.rows(), 1);
}

#[test]
fn init_adopts_the_seeds_file_and_refuses_another_programs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("requests.db");
    let name = path.display().to_string();
    let init = || daybook(dir.path(), &["init"], &[("DAYBOOK_DATABASE__PATH", &name)]);
    seed::create_with_rows(&path);
    assert_eq!(init().code, Some(0));
    assert_eq!(db::count(&db::open(&path)), 3);

    for suffix in ["", "-wal", "-shm"] {
        // The last two are gone where the last connection was closed in order.
        match fs::remove_file(format!("{name}{suffix}")) {
            Err(e) if e.kind() == ErrorKind::NotFound && !suffix.is_empty() => (),
            removed => removed.expect("removing the database"),
        }
    }
    Connection::open(&path)
        .and_then(|connection| connection.execute_batch("create table notes(text)"))
        .expect("another program's database");
    let run = init();
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    assert!(run.error_line().contains(&name), "{}", run.stderr);
}
