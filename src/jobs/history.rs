//! The table `daybook_jobs`: the last run of each job. Every replica plans the next run by it.
//!
//! Only a program with jobs has the table. It is no part of the schema's versions: other versions of daybook, and the
//! seed's application, work beside it.

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use utoipa::ToSchema;

use super::schedule::UnixSeconds;
use crate::query::Time;
use crate::store::{ReadError, Store, WriteError};

const CREATE: &str = "create table if not exists daybook_jobs (
    name text not null primary key,
    declared_at real not null,
    started_at real,
    ended_at real,
    error text,
    succeeded_at real
) without rowid";

/// Longer errors are cut: the log has all of it.
const ERROR_CHARS_MAX: usize = 1000;

/// A job's row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LastRun {
    /// When a replica with this job first started.
    pub declared_at: UnixSeconds,
    /// None: it has never run.
    pub started_at: Option<UnixSeconds>,
    /// None while it runs, and if its process died.
    pub ended_at: Option<UnixSeconds>,
    /// The end of the last run that succeeded, which may be an earlier one.
    pub succeeded_at: Option<UnixSeconds>,
}

impl LastRun {
    /// Whether it runs, or its process died during the run. The job's lock tells which.
    pub fn is_open(&self) -> bool {
        self.started_at.is_some() && self.ended_at.is_none()
    }
}

/// The row of one job, read and written as any other data: by the read pool, and by the writer.
pub(super) struct History {
    pub job: String,
    pub store: Store,
}

type Written = Result<(), WriteError<rusqlite::Error>>;

impl History {
    /// Creates the table and the job's row, unless they are there.
    pub async fn declare(&self, now: UnixSeconds) -> Written {
        let job = self.job.clone();
        self.store.write(move |tx| declare(tx, &job, now)).await
    }

    /// The job's row, if it is there. It needs the table.
    pub async fn last_run(&self) -> Result<Option<LastRun>, ReadError<rusqlite::Error>> {
        let job = self.job.clone();
        let reader = self.store.admin_reader();
        reader.read(move |db| last_run(db, &job)).await
    }

    /// Records the start of a run, for all replicas. Only the holder of the claim may call it.
    pub async fn start(&self, now: UnixSeconds) -> Written {
        let job = self.job.clone();
        self.store.write(move |tx| start(tx, &job, now)).await
    }

    /// Records the end of the run that has started, with its error if it failed.
    pub async fn end(&self, now: UnixSeconds, error: Option<&str>) -> Written {
        let job = self.job.clone();
        let error = error.map(|error| error.chars().take(ERROR_CHARS_MAX).collect::<String>());
        (self
            .store
            .write(move |tx| end(tx, &job, now, error.as_deref())))
        .await
    }
}

/// A job, as the table shows it. Times are the wall clock's.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobState {
    pub name: String,
    /// Null: it has never run.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Time>,
    /// Null: it runs, or its process ended first.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Time>,
    /// The end of the last run that succeeded.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub succeeded_at: Option<Time>,
    /// Why the last run failed.
    pub error: Option<String>,
}

/// All jobs of all replicas, by name. There are none before the first replica has declared its own.
pub(crate) fn states(db: &Connection) -> rusqlite::Result<Vec<JobState>> {
    let sql = "select count(*) from sqlite_schema where name = 'daybook_jobs'";
    let tables: i64 = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    db.prepare_cached(
        "select name, started_at, ended_at, succeeded_at, error from daybook_jobs order by name",
    )?
    .query_map([], |row| {
        let time = |column| {
            let seconds: Option<UnixSeconds> = row.get(column)?;
            Ok::<_, rusqlite::Error>(seconds.and_then(Time::from_seconds))
        };
        Ok(JobState {
            name: row.get(0)?,
            started_at: time(1)?,
            ended_at: time(2)?,
            succeeded_at: time(3)?,
            error: row.get(4)?,
        })
    })?
    .collect()
}

fn declare(tx: &Connection, job: &str, now: UnixSeconds) -> rusqlite::Result<()> {
    tx.execute_batch(CREATE)?;
    let sql = "insert into daybook_jobs (name, declared_at) values (?, ?) on conflict do nothing";
    tx.execute(sql, (job, now)).map(drop)
}

fn last_run(db: &Connection, job: &str) -> rusqlite::Result<Option<LastRun>> {
    db.prepare_cached(
        "select declared_at, started_at, ended_at, succeeded_at from daybook_jobs where name = ?",
    )?
    .query_row([job], |row| {
        Ok(LastRun {
            declared_at: row.get(0)?,
            started_at: row.get(1)?,
            ended_at: row.get(2)?,
            succeeded_at: row.get(3)?,
        })
    })
    .optional()
}

fn start(tx: &Connection, job: &str, now: UnixSeconds) -> rusqlite::Result<()> {
    let sql =
        "update daybook_jobs set started_at = ?, ended_at = null, error = null where name = ?";
    tx.execute(sql, (now, job)).map(drop)
}

fn end(tx: &Connection, job: &str, now: UnixSeconds, error: Option<&str>) -> rusqlite::Result<()> {
    let sql = "update daybook_jobs set ended_at = ?1, error = ?2, succeeded_at = iif(?2 is null, ?1, succeeded_at) where name = ?3";
    tx.execute(sql, (now, error, job)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().expect("a database in memory");
        declare(&connection, "purge", 1.5).expect("a table and a row");
        connection
    }

    fn row(connection: &Connection) -> LastRun {
        last_run(connection, "purge")
            .expect("a read")
            .expect("a row")
    }

    #[test]
    fn a_row_has_the_last_run_and_the_last_success() {
        let connection = database();
        let declared = LastRun {
            declared_at: 1.5,
            ..LastRun::default()
        };
        assert_eq!(row(&connection), declared);
        assert!(!row(&connection).is_open());

        start(&connection, "purge", 2.0).expect("a start");
        assert!(row(&connection).is_open());
        end(&connection, "purge", 3.0, None).expect("an end");
        let succeeded = LastRun {
            started_at: Some(2.0),
            ended_at: Some(3.0),
            succeeded_at: Some(3.0),
            ..declared
        };
        assert_eq!(row(&connection), succeeded);

        start(&connection, "purge", 4.0).expect("a start");
        end(&connection, "purge", 5.0, Some("no network")).expect("an end");
        let failed = LastRun {
            started_at: Some(4.0),
            ended_at: Some(5.0),
            ..succeeded
        };
        assert_eq!(row(&connection), failed);
    }

    #[test]
    fn a_second_declaration_changes_nothing() {
        let connection = database();
        start(&connection, "purge", 2.0).expect("a start");
        let before = row(&connection);
        declare(&connection, "purge", 9.0).expect("nothing to do");
        assert_eq!(row(&connection), before);
        assert_eq!(last_run(&connection, "mail").expect("a read"), None);
    }
}
