//! The subcommands that read the records. `tests/command_line.rs` has what all subcommands share.

mod export;
mod stats;
mod tail;

use std::path::Path;
use std::process::Command;

use crate::common::command::{Run, daybook};
use crate::common::process::{DAYBOOK, remove_variables};
use crate::common::server::Server;

/// Runs daybook on this database.
fn on(database: &Path, arguments: &[&str]) -> Run {
    let directory = database.parent().expect("a directory");
    let path = database.to_str().expect("text");
    let environment = [
        ("DAYBOOK_DATABASE__PATH", path),
        ("DAYBOOK_DATABASE__SYNCHRONOUS", "normal"),
    ];
    daybook(directory, arguments, &environment)
}

#[test]
fn a_command_that_reads_never_creates_a_database() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("requests.db");
    for arguments in [&["tail"][..], &["stats"], &["export", "--format", "csv"]] {
        let run = on(&database, arguments);
        assert_eq!(run.code, Some(78), "{}", run.stderr);
        assert!(
            run.error_line().contains("there is no database to read"),
            "{}",
            run.stderr
        );
        let files = std::fs::read_dir(directory.path()).expect("the directory");
        assert_eq!(files.count(), 0, "{arguments:?}");
    }
}

#[test]
fn a_damaged_or_foreign_database_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let damaged = directory.path().join("damaged.db");
    std::fs::write(&damaged, "this is no database, but long enough".repeat(100)).expect("a file");
    let foreign = directory.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).expect("a database");
    connection
        .execute_batch("create table t (x)")
        .expect("a table");
    for (database, words) in [(&damaged, "damaged"), (&foreign, "another program's")] {
        for arguments in [&["tail"][..], &["stats"], &["export", "--format", "csv"]] {
            let run = on(database, arguments);
            assert_eq!(run.code, Some(78), "{}", run.stderr);
            assert!(run.error_line().contains(words), "{}", run.stderr);
        }
    }
}

#[test]
fn a_wrong_filter_or_replica_is_wrong_usage() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("requests.db");
    for (arguments, words) in [
        (&["tail", "--status", "abc"][..], "status=abc"),
        (
            &["export", "--format", "csv", "--since", "soon"],
            "since=soon",
        ),
        (&["tail", "--admin", "localhost"], "http://HOST:PORT"),
        (&["export", "--format", "xml"], "ndjson"),
        (&["export"], "--format"),
    ] {
        let run = on(&database, arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn a_replica_that_is_not_there_is_a_failure_that_may_pass() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("requests.db");
    for arguments in [
        &["tail", "--admin", "unix:no.sock"][..],
        &["stats", "--admin", "unix:no.sock"],
        &["export", "--format", "csv", "--admin", "unix:no.sock"],
    ] {
        let run = on(&database, arguments);
        assert_eq!(run.code, Some(1), "{arguments:?}: {}", run.stderr);
        assert!(run.error_line().contains("unix:no.sock"), "{}", run.stderr);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let server = Server::start();
    let script = format!("{DAYBOOK} stats >/dev/full");
    let mut shell = Command::new("bash");
    remove_variables(&mut shell);
    shell
        .args(["-c", &script])
        .env("DAYBOOK_DATABASE__PATH", server.database_path());
    let run = shell.output().expect("a shell");
    let error = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{error}");
    assert!(
        error.contains("standard output: No space left on device"),
        "{error}"
    );
}
