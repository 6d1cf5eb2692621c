//! Migrates a database: daybook's steps and the application's, in one transaction.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::app_authorizer::{self, Objections};
use super::app_migration_checks::AppMigrationChecks;
use super::app_schema::{AppMigration, AppSchema};
use super::open_error::OpenError;
use super::schema::{APPLICATION_ID, DatabaseInfo};

/// After so many of SQLite's instructions it looks at the clock: about a millisecond.
const INSTRUCTIONS: i32 = 10_000;

/// A migration that has run.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub name: String,
    pub duration: Duration,
}

/// Runs the steps that the file needs. If they take longer than `time_max`, nothing has changed: no replica can record a
/// request meanwhile.
pub(super) fn migrate(
    path: &Path,
    connection: &mut Connection,
    info: &DatabaseInfo,
    app: &AppSchema,
    time_max: Option<Duration>,
) -> Result<Vec<Step>, OpenError> {
    if info.is_current(app) {
        return Ok(Vec::new());
    }
    // SQLite's procedure for changes of a table: with foreign keys on, dropping the old table would delete the rows that
    // refer to it. No effect within a transaction, so here.
    let set_foreign_keys = |connection: &Connection, on: bool| {
        let set = connection.pragma_update(None, "foreign_keys", on);
        set.map_err(|error| OpenError::sqlite(path, error))
    };
    set_foreign_keys(connection, false)?;
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let migration = Migration {
        path,
        transaction: begun.map_err(|error| OpenError::sqlite(path, error))?,
        app,
        start: Instant::now(),
        // Creating a file with daybook's tables alone delays nobody.
        time_max: time_max.filter(|_| !info.is_new() || !app.migrations.is_empty()),
        steps: Vec::new(),
    };
    let steps = migration.run(info)?;
    set_foreign_keys(connection, true)?;
    Ok(steps)
}

/// Runs the steps on an empty database in memory, for a file that does not exist yet: if they fail, it is never created.
pub(super) fn rehearse(
    path: &Path,
    app: &AppSchema,
    time_max: Option<Duration>,
) -> Result<(), OpenError> {
    if app.migrations.is_empty() {
        return Ok(());
    }
    let sqlite = |error| OpenError::sqlite(path, error);
    let mut connection = Connection::open_in_memory().map_err(sqlite)?;
    let info = DatabaseInfo::read(&connection).map_err(sqlite)?;
    migrate(path, &mut connection, &info, app, time_max).map(drop)
}

struct Migration<'a> {
    path: &'a Path,
    transaction: Transaction<'a>,
    app: &'a AppSchema,
    start: Instant,
    time_max: Option<Duration>,
    steps: Vec<Step>,
}

impl Migration<'_> {
    fn run(mut self, info: &DatabaseInfo) -> Result<Vec<Step>, OpenError> {
        if let Some(time_max) = self.time_max {
            let end = self.start + time_max;
            let is_late = move || Instant::now() > end;
            self.sqlite(
                self.transaction
                    .progress_handler(INSTRUCTIONS, Some(is_late)),
            )?;
        }
        self.own_steps(info)?;
        self.app_steps(info.app.version())?;
        if self
            .time_max
            .is_some_and(|time_max| self.start.elapsed() > time_max)
        {
            return Err(self.too_slow(None));
        }
        let none: Option<fn() -> bool> = None;
        self.sqlite(self.transaction.progress_handler(0, none))?;
        let Self {
            path,
            transaction,
            steps,
            ..
        } = self;
        transaction
            .commit()
            .map_err(|error| OpenError::sqlite(path, error))?;
        Ok(steps)
    }

    fn own_steps(&mut self, info: &DatabaseInfo) -> Result<(), OpenError> {
        self.own(|transaction| transaction.pragma_update(None, "application_id", APPLICATION_ID))?;
        for migration in info.pending() {
            let start = Instant::now();
            self.own(|transaction| migration.run(transaction))?;
            self.steps.push(Step {
                name: format!("daybook's schema {}", migration.version),
                duration: start.elapsed(),
            });
        }
        Ok(())
    }

    fn app_steps(&mut self, version: i64) -> Result<(), OpenError> {
        if self.app.version() <= version {
            return Ok(());
        }
        self.own(|transaction| {
            transaction.execute_batch(
                "create table if not exists app_schema (name text not null, version integer not null, oldest integer not null);
                 create table if not exists app_migrations (version integer primary key, name text not null, sha256 text not null, applied_at real not null)",
            )
        })?;
        let before = self.own(AppMigrationChecks::before)?;
        for step in self.app.after(version) {
            let start = Instant::now();
            self.app_step(step)?;
            self.steps.push(Step {
                name: step.path.clone(),
                duration: start.elapsed(),
            });
        }
        let last = self
            .app
            .migrations
            .last()
            .expect("its version is above the file's");
        if let Some(why) = self.own(|transaction| before.objection(transaction))? {
            return Err(self.wrong(last, None, why));
        }
        self.own(|transaction| {
            transaction.execute("delete from app_schema", [])?;
            let row = (self.app.application, last.version, last.oldest);
            transaction.execute(
                "insert into app_schema (name, version, oldest) values (?, ?, ?)",
                row,
            )
        })?;
        Ok(())
    }

    fn app_step(&self, step: &AppMigration) -> Result<(), OpenError> {
        let objections = Objections::default();
        let authorizer = app_authorizer::authorizer(objections.clone());
        self.sqlite(self.transaction.authorizer(Some(authorizer)))?;
        let result = self.transaction.execute_batch(&step.sql);
        app_authorizer::remove(&self.transaction)
            .map_err(|error| OpenError::sqlite(self.path, error))?;
        if let Err(error) = result {
            return Err(self.failed(step, error, objections.first()));
        }
        self.own(|transaction| {
            transaction.execute(
                "insert into app_migrations (version, name, sha256, applied_at) values (?, ?, ?, unixepoch('subsec'))",
                (step.version, &step.name, &step.sha256),
            )
        })?;
        Ok(())
    }

    /// Runs a statement of daybook's own.
    fn own<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, OpenError> {
        match run(&self.transaction) {
            Err(error) if is_interrupted(&error) => Err(self.too_slow(None)),
            result => self.sqlite(result),
        }
    }

    fn sqlite<T>(&self, result: rusqlite::Result<T>) -> Result<T, OpenError> {
        result.map_err(|error| OpenError::sqlite(self.path, error))
    }

    fn failed(
        &self,
        step: &AppMigration,
        error: rusqlite::Error,
        objection: Option<String>,
    ) -> OpenError {
        if let Some(objection) = objection {
            return self.wrong(step, None, objection);
        }
        if is_interrupted(&error) {
            return self.too_slow(Some(step));
        }
        match &error {
            // `sql` is the rest of the file, from this statement on.
            rusqlite::Error::SqlInputError {
                msg, sql, offset, ..
            } => {
                let begin = step.sql.len().saturating_sub(sql.len());
                let offset = begin + usize::try_from(*offset).unwrap_or_default();
                let before = step.sql.as_bytes().iter().take(offset);
                let line = 1 + before.filter(|byte| **byte == b'\n').count();
                self.wrong(step, Some(line), msg.clone())
            }
            _ if depends_on_the_machine(&error) => OpenError::sqlite(self.path, error),
            _ => self.wrong(step, None, error.to_string()),
        }
    }

    fn wrong(&self, step: &AppMigration, line: Option<usize>, why: String) -> OpenError {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        OpenError::Migration {
            file: format!("{}{line}", step.path),
            why,
            path: self.path.to_owned(),
        }
    }

    fn too_slow(&self, step: Option<&AppMigration>) -> OpenError {
        let mut steps: Vec<_> = self.steps.iter().map(Step::to_string).collect();
        steps.extend(step.map(|step| format!("{}: stopped", step.path)));
        OpenError::MigrationsTooSlow {
            path: self.path.to_owned(),
            time_max: self.time_max.unwrap_or_default(),
            steps: steps.join(", "),
            program: self.app.application,
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {:.1?}", self.name, self.duration)
    }
}

fn is_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// Whether the same migration could succeed later, or elsewhere.
fn depends_on_the_machine(error: &rusqlite::Error) -> bool {
    use ErrorCode::*;
    matches!(
        error.sqlite_error_code(),
        Some(
            DatabaseBusy
                | DatabaseLocked
                | OutOfMemory
                | ReadOnly
                | SystemIoFailure
                | DatabaseCorrupt
                | DiskFull
                | CannotOpen
                | NotADatabase
                | FileLockingProtocolFailed
        )
    )
}
