//! The database, and the tests' own helpers for it.

mod altered_files;
mod checkpoints;
mod commit_faults;
mod database_file;
mod failing_writes;
mod foreign_writers;
mod litestream;
mod lost_database;
mod lost_files;
mod opening;
mod reads;
mod replicas;
mod slow_commits;
mod syncs;

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::command::{Run, daybook};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};
use tempfile::TempDir;

/// A path for a database, in a directory that outlives its servers.
fn database_path() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(dir.path().join("data")).expect("a directory");
    let path = dir.path().join("data/requests.db");
    (dir, path)
}

/// A server on that database.
fn replica(database: &Path) -> Server {
    Server::with(|c| {
        c.text("database.path", database.display());
    })
}

/// Such as `-wal`.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", database.display()).into()
}

fn wait_until_unready(server: &Server) {
    eventually("it is unready", TIMEOUT, || {
        server.get_admin("/readyz").status == 503
    });
    let readyz = server.get_admin("/readyz");
    let lines = readyz.text().trim_end().lines().count();
    assert_eq!(lines, 1, "{}", readyz.text());
}

fn wait_until_ready(server: &Server) {
    eventually("it is ready again by itself", TIMEOUT, || {
        server.get_admin("/readyz").status == 200
    });
}

/// Runs `daybook init`.
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

/// Exit status 78, with the path and these words in the first line.
fn assert_start_refused(run: &Run, database: &Path, words: &[&str]) {
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    let first = run.error_line();
    assert!(first.contains(&database.display().to_string()), "{first}");
    for word in words {
        assert!(first.contains(word), "{word} is not in: {first}");
    }
}

/// The files in a database's directory, with their content.
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

fn is_untouched(database: &Path, before: &[(PathBuf, Vec<u8>)]) {
    assert!(everything_beside(database) == before, "a file was changed");
}
