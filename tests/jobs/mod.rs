//! Jobs: at their times, one run at a time over all replicas, without harm to anything else.

mod failures;
mod replicas;
mod schedules;
mod stops;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use daybook::{App, Schedule};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::common::in_process::InProcessServer;
use crate::common::{TIMEOUT, eventually};

/// An application without routes and jobs.
fn app() -> App {
    App::new("test", |_| Ok(Router::new()))
}

/// As often as possible.
fn every_second() -> Schedule {
    Schedule::every(Duration::from_secs(1))
}

/// A path for a database in a new directory, and the journal of its jobs.
fn new_database() -> (TempDir, PathBuf, Journal) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let database = directory.path().join("requests.db");
    let journal = Journal::beside(&database);
    (directory, database, journal)
}

/// The lines that the jobs of a test have noted, in order over all processes.
#[derive(Clone)]
struct Journal(PathBuf);

impl Journal {
    /// In the directory of a database.
    fn beside(database: &Path) -> Self {
        Self(database.with_file_name("journal"))
    }

    fn add(&self, line: &str) {
        let file = File::options().append(true).create(true).open(&self.0);
        // One write appends a whole line.
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .expect("writing the journal");
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|found| *found == line).count()
    }

    fn wait_for(&self, line: &str, times: usize) {
        eventually(&format!("{times} × {line:?}"), TIMEOUT * 3, || {
            self.count(line) >= times
        });
    }
}

/// Serves `app` on a database that outlives it.
fn start(app: App, database: &Path) -> InProcessServer {
    start_as(app, database, "test")
}

/// Serves `app` as the replica of that name.
fn start_as(app: App, database: &Path, replica: &str) -> InProcessServer {
    let path = database.to_str().expect("text");
    InProcessServer::start_app(app, &[("database.path", path), ("replica", replica)])
}

/// A row of `daybook_jobs`.
#[derive(Debug)]
struct Row {
    started_at: Option<f64>,
    ended_at: Option<f64>,
    error: Option<String>,
    succeeded_at: Option<f64>,
}

/// The row of a job, if there is one.
fn row(database: &Connection, job: &str) -> Option<Row> {
    let sql = "select started_at, ended_at, error, succeeded_at from daybook_jobs where name = ?";
    let mut statement = database.prepare(sql).ok()?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row {
            started_at: row.get(0)?,
            ended_at: row.get(1)?,
            error: row.get(2)?,
            succeeded_at: row.get(3)?,
        })
    };
    statement.query_row([job], read).ok()
}

/// Waits until the row of a job is as wanted.
fn wait_for_row(
    database: &Connection,
    job: &str,
    what: &str,
    is_wanted: impl Fn(&Row) -> bool,
) -> Row {
    eventually(what, TIMEOUT * 3, || row(database, job).filter(&is_wanted))
}

fn unix_now() -> f64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.expect("a clock after 1970").as_secs_f64()
}
