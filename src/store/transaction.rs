//! One transaction: inserts a batch on the writer's connection, and commits it or rolls it back.

use rusqlite::Connection;

use super::checkpoint::{self, Checkpointer};
use super::fatal_error::FatalError;
use super::insert::{InsertError, Inserter};
use super::litestream::LitestreamCheck;
use super::outcome::Outcome;
use super::queue::QueueEntry;
use super::record::LateOutcome;
use super::sqlite_errors::{is_damage, one_record_can_cause, was_not_committed};
use crate::rejected::Rejected;
use crate::telemetry::log_rate_limited;

/// How a transaction ended.
pub(super) enum TransactionOutcome {
    Committed(Vec<Outcome>),
    /// Nothing was written.
    RolledBack,
    /// It is not known what was written; no request of the batch may get a response.
    Unknown,
}

pub(super) struct WriterConnection {
    /// Dropped before the connection.
    checkpointer: Checkpointer,
    connection: Connection,
    inserter: Inserter,
    litestream: LitestreamCheck,
}

impl WriterConnection {
    pub fn new(connection: Connection, checkpointer: Checkpointer) -> Self {
        checkpointer.watch(&connection);
        // Room for every insert and the statements around them, so that all stay prepared.
        connection.set_prepared_statement_cache_capacity(32);
        Self {
            inserter: Inserter::new(&connection),
            connection,
            checkpointer,
            litestream: LitestreamCheck::new(),
        }
    }

    pub fn begin(&mut self) -> rusqlite::Result<()> {
        self.litestream.run(&self.connection)?;
        self.execute("BEGIN IMMEDIATE")
    }

    /// Inserts and commits a batch in the open transaction, and adds the outcomes of earlier records. If one record made it
    /// fail, the others are tried again without it.
    pub fn write(
        &mut self,
        entries: &mut [QueueEntry],
        late_outcomes: &[LateOutcome],
    ) -> Result<TransactionOutcome, FatalError> {
        if entries.is_empty() && late_outcomes.is_empty() {
            // All entries expired before the transaction began.
            self.rollback()?;
            return Ok(TransactionOutcome::Committed(Vec::new()));
        }
        let inserted = self
            .update(late_outcomes)
            .and_then(|()| self.inserter.insert(&mut self.connection, entries));
        match self.finish(inserted, entries.len())? {
            Some(outcome) => Ok(outcome),
            None => self.write_one_by_one(entries, late_outcomes),
        }
    }

    /// Adds the outcomes of earlier records. An error that the updates alone cause must not cost the batch: then these
    /// records have no outcome, which is allowed.
    fn update(&mut self, late_outcomes: &[LateOutcome]) -> Result<(), InsertError> {
        if late_outcomes.is_empty() {
            return Ok(());
        }
        let mut savepoint = self.connection.savepoint()?;
        let mut outcomes = late_outcomes.iter();
        if let Err(error) = outcomes.try_for_each(|outcome| outcome.update(&savepoint)) {
            if is_damage(&error) || savepoint.is_autocommit() {
                return Err(error.into());
            }
            log_rate_limited("outcomes of requests were not written", &error);
            savepoint.rollback()?;
        }
        savepoint.commit()?;
        Ok(())
    }

    /// A second transaction for a batch, under the same lock, with its entries one at a time. A handler's write that ran
    /// in the first transaction cannot run again, so its entry is rejected.
    fn write_one_by_one(
        &mut self,
        entries: &mut [QueueEntry],
        late_outcomes: &[LateOutcome],
    ) -> Result<TransactionOutcome, FatalError> {
        if let Err(error) = self.begin() {
            log_rate_limited("a transaction could not begin", &error);
            return Ok(TransactionOutcome::RolledBack);
        }
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut inserted = self.update(late_outcomes);
        for entry in entries.iter_mut() {
            if entry.write_fn_has_run {
                outcomes.push(Outcome::Rejected(Rejected::Storage));
            } else if inserted.is_ok() {
                let alone = std::slice::from_mut(entry);
                inserted = self
                    .inserter
                    .insert_alone(&mut self.connection, alone, &mut outcomes);
            }
        }
        let outcome = self.finish(inserted.map(|()| outcomes), entries.len())?;
        // A third attempt would leave out nothing more.
        Ok(outcome.unwrap_or(TransactionOutcome::RolledBack))
    }

    /// Commits the inserted entries, or rolls back. None: nothing was written, and inserting them one at a time can
    /// succeed.
    fn finish(
        &mut self,
        inserted: Result<Vec<Outcome>, InsertError>,
        records: usize,
    ) -> Result<Option<TransactionOutcome>, FatalError> {
        let outcomes = match inserted {
            Ok(outcomes) => outcomes,
            Err(InsertError::RowsMissing) => {
                self.rollback()?;
                return Ok(None);
            }
            Err(InsertError::RolledBackInWrite) => {
                let cause = "SQLite, or the write itself, has rolled the transaction back";
                log_rate_limited("a handler's write failed", &cause);
                return Ok(None);
            }
            Err(InsertError::CommittedByWrite) => {
                let cause = "a handler's write has committed the transaction that it runs in";
                log_rate_limited("the outcome of a batch is unknown", &cause);
                self.rollback()?;
                return Ok(Some(TransactionOutcome::Unknown));
            }
            Err(InsertError::Sqlite(error)) if is_damage(&error) => {
                return Err(FatalError::Damaged(error));
            }
            Err(InsertError::Sqlite(error)) => {
                self.rollback()?;
                log_rate_limited("a batch was not written", &error);
                return Ok(Some(TransactionOutcome::RolledBack));
            }
        };
        match self.execute("COMMIT") {
            Ok(()) => {
                self.checkpointer.publish_frames();
                Ok(Some(TransactionOutcome::Committed(outcomes)))
            }
            Err(error) if was_not_committed(&error) => {
                self.rollback()?;
                log_rate_limited("a commit failed", &error);
                // One handler's write can break a deferred constraint, for example.
                Ok((!one_record_can_cause(&error)).then_some(TransactionOutcome::RolledBack))
            }
            Err(error) => Err(FatalError::unknown_outcome(records, error)),
        }
    }

    /// Leaves no transaction open. SQLite may have ended it itself.
    fn rollback(&self) -> Result<(), FatalError> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        match self.execute("ROLLBACK") {
            Err(error) if !self.connection.is_autocommit() => Err(FatalError::Rollback(error)),
            _ => Ok(()),
        }
    }

    /// Moves the commits of a removed WAL into the database, while this process can still read them. No other process
    /// has begun a new WAL: without the frames of this one, which the WAL-index lists, the database cannot be opened.
    pub fn save_removed_wal(&self) -> Result<(), FatalError> {
        self.rollback()?;
        match checkpoint::passive(&self.connection) {
            Ok(done) if !done.is_busy && done.moved == done.frames => tracing::warn!(
                "the write-ahead log was removed: all its commits were saved into the database"
            ),
            Ok(_) => tracing::error!("the write-ahead log was removed, and some commits are lost"),
            Err(error) => {
                tracing::error!(%error, "the write-ahead log was removed, and some commits are lost");
            }
        }
        Ok(())
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(drop)
    }
}
