//! The writer: one thread, one connection, and the order that the whole product rests on.
//!
//! Wait for work, lock, `BEGIN IMMEDIATE`, look whether the files are still the ones that are open, take what waits and
//! has not expired, insert, `COMMIT`, unlock, sync (at `full`), look at the log's once more, and only then tell the
//! requests. It never sleeps to try again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::{self, Checkpointer};
use super::fatal::Fatal;
use super::insert::{InsertError, Inserter, one_record_can_cause};
use super::lock::WriteLock;
use super::log_file::LogFile;
use super::queue::{Entry, Queue};
use super::same_file::{Changed, SameFiles};
use super::state::{Activity, WriterState};
use super::{Outcome, Rejected};
use crate::metrics::Metrics;
use crate::telemetry::log_rate_limited;

/// Outcomes of one batch, on their way to the requests.
pub(super) type Answers = Vec<(oneshot::Sender<Outcome>, Outcome)>;

pub(super) struct Writer {
    /// Dropped before the connection.
    pub checkpointer: Checkpointer,
    pub connection: Connection,
    pub files: SameFiles,
    /// Commits are synced here; none at `normal`, where they are not.
    pub log: Option<LogFile>,
    pub queue: Arc<Queue>,
    pub state: Arc<WriterState>,
    pub answers: mpsc::UnboundedSender<Answers>,
    pub metrics: Arc<Metrics>,
    pub inserter: Inserter,
}

/// What a transaction came to.
enum TransactionOutcome {
    Committed(Vec<Outcome>),
    /// Nothing was written.
    RolledBack,
    /// Nobody knows; no answer may be given.
    Unknown,
}

impl Writer {
    /// Runs until the queue is stopped and empty, or until it cannot go on.
    pub fn run(&mut self, lock: &mut WriteLock) -> Result<(), Fatal> {
        catch_unwind(AssertUnwindSafe(|| {
            while self.queue.wait_for_work() {
                self.write_batch(lock)?;
            }
            // Closing the last connection removes what lies at the log's path, whatever that is by now.
            self.same(self.files.check())
        }))
        .unwrap_or_else(|panic| Err(Fatal::Panic(crate::panic_message(&*panic))))
    }

    fn write_batch(&mut self, lock: &mut WriteLock) -> Result<(), Fatal> {
        let state = self.state.clone();
        let _idle_at_the_end = state.enter(Activity::WaitingForLock);
        let waiting_since = Instant::now();
        let held = loop {
            let held = lock.acquire().map_err(Fatal::Lock)?;
            match self.statement("BEGIN IMMEDIATE") {
                Ok(()) => break held,
                // A foreign writer has it, and the busy time-out is over. Let our own kind try before the next attempt.
                Err(error) if is_busy(&error) => drop(held),
                Err(error) if is_damage(&error) => return Err(Fatal::Damaged(error)),
                Err(error) => {
                    drop(held);
                    log_rate_limited("no transaction could be begun", &error);
                    let taken = self.queue.take(Instant::now());
                    self.reject(taken.expired, Rejected::Deadline)?;
                    return self.reject(taken.batch, Rejected::Storage);
                }
            }
        };
        // Others may use the files that are there now: a commit into the old ones would spoil theirs.
        self.same(self.files.check())?;
        let begun = Instant::now();
        let lock_wait = begun - waiting_since;
        state.now(Activity::Committing);
        let mut taken = self.queue.take(begun);
        let ended = self.write(&mut taken.batch);
        drop(held);
        let ended = ended?;
        self.metrics
            .write_lock_wait_seconds
            .observe(lock_wait.as_secs_f64());
        self.reject(taken.expired, Rejected::Deadline)?;
        match ended {
            TransactionOutcome::Committed(outcomes) => {
                if !outcomes.is_empty() {
                    self.sync(outcomes.len())?;
                    // Once more: the log may have changed since the transaction began, and then what was committed into
                    // the old one is lost. Whatever happens from here on, happens after the responses.
                    self.same(self.files.check_log())?;
                    self.count(&outcomes, begun);
                    self.queue.answered(outcomes.len());
                }
                let replies = taken.batch.into_iter().map(|entry| entry.reply);
                self.send(replies.zip(outcomes).collect())
            }
            TransactionOutcome::RolledBack => self.reject(taken.batch, Rejected::Storage),
            // Dropping the batch closes the connections that wait for it, without a word.
            TransactionOutcome::Unknown => Ok(()),
        }
    }

    /// Inserts and commits. What fails by the fault of one record is tried again without it.
    fn write(&mut self, batch: &mut [Entry]) -> Result<TransactionOutcome, Fatal> {
        if batch.is_empty() {
            // Everything expired while we waited.
            self.rollback()?;
            return Ok(TransactionOutcome::Committed(Vec::new()));
        }
        let inserted = self.inserter.insert(&mut self.connection, batch);
        match self.finish(inserted, batch.len())? {
            Some(ended) => Ok(ended),
            None => self.write_again(batch),
        }
    }

    /// A second transaction for a batch, under the same lock, its entries one by one. WriteFn of the application that has
    /// run in the first cannot run again: such an entry is refused.
    fn write_again(&mut self, batch: &mut [Entry]) -> Result<TransactionOutcome, Fatal> {
        if let Err(error) = self.statement("BEGIN IMMEDIATE") {
            log_rate_limited("no transaction could be begun", &error);
            return Ok(TransactionOutcome::RolledBack);
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut inserted = Ok(());
        for entry in batch.iter_mut() {
            if entry.work_has_run {
                outcomes.push(Outcome::Rejected(Rejected::Storage));
            } else if inserted.is_ok() {
                let alone = std::slice::from_mut(entry);
                inserted = self
                    .inserter
                    .insert_alone(&mut self.connection, alone, &mut outcomes);
            }
        }
        let ended = self.finish(inserted.map(|()| outcomes), batch.len())?;
        // A third try would find nothing else to leave out.
        Ok(ended.unwrap_or(TransactionOutcome::RolledBack))
    }

    /// Commits what was inserted, or rolls back. None: nothing was written, and a try one by one is worth it.
    fn finish(
        &mut self,
        inserted: Result<Vec<Outcome>, InsertError>,
        records: usize,
    ) -> Result<Option<TransactionOutcome>, Fatal> {
        let outcomes = match inserted {
            Ok(outcomes) => outcomes,
            Err(InsertError::RowsMissing) => {
                self.rollback()?;
                return Ok(None);
            }
            Err(InsertError::RolledBackInWork) => {
                let cause = "SQLite, or the write itself, has rolled the transaction back";
                log_rate_limited("a handler's write failed", &cause);
                return Ok(None);
            }
            Err(InsertError::CommittedByWork) => {
                let cause = "a handler's write has committed the transaction that it runs in";
                log_rate_limited("the outcome of a batch is unknown", &cause);
                self.rollback()?;
                return Ok(Some(TransactionOutcome::Unknown));
            }
            Err(InsertError::Sqlite(error)) if is_damage(&error) => {
                return Err(Fatal::Damaged(error));
            }
            Err(InsertError::Sqlite(error)) => {
                self.rollback()?;
                log_rate_limited("a batch was not written", &error);
                return Ok(Some(TransactionOutcome::RolledBack));
            }
        };
        match self.statement("COMMIT") {
            Ok(()) => {
                self.checkpointer.publish_frames();
                Ok(Some(TransactionOutcome::Committed(outcomes)))
            }
            Err(source) if was_not_committed(&source) => {
                self.rollback()?;
                log_rate_limited("a commit was refused", &source);
                // A deferred constraint, say, which one handler's write has broken.
                Ok((!one_record_can_cause(&source)).then_some(TransactionOutcome::RolledBack))
            }
            Err(error) => Err(unknown_outcome(records, error)),
        }
    }

    /// Lets what was committed survive a power cut, where that is wanted.
    fn sync(&self, records: usize) -> Result<(), Fatal> {
        match &self.log {
            Some(log) => log.sync().map_err(|error| unknown_outcome(records, error)),
            None => Ok(()),
        }
    }

    /// The end, if a file of the database is not the one that is open.
    fn same(&self, checked: Result<(), Changed>) -> Result<(), Fatal> {
        let Err(changed) = checked else {
            return Ok(());
        };
        if changed.is_lost_log {
            self.save_log()?;
        }
        let Changed { path, change, .. } = changed;
        Err(Fatal::Replaced { path, change })
    }

    /// Moves the commits of a removed log into the database, while they can still be read. Nobody else has begun another
    /// log: without the frames of this one, which the index knows, the database cannot be opened.
    fn save_log(&self) -> Result<(), Fatal> {
        self.rollback()?;
        match checkpoint::passive(&self.connection) {
            Ok(done) if !done.is_busy && done.moved == done.frames => tracing::warn!(
                "the log was removed: all commits that it had have been moved into the database"
            ),
            Ok(_) => tracing::error!("the log was removed, and commits that it had are lost"),
            Err(error) => {
                tracing::error!(%error, "the log was removed, and commits that it had are lost");
            }
        }
        Ok(())
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(drop)
    }

    /// Leaves no transaction open. SQLite may have ended it by itself.
    fn rollback(&self) -> Result<(), Fatal> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        match self.statement("ROLLBACK") {
            Err(error) if !self.connection.is_autocommit() => Err(Fatal::Rollback(error)),
            _ => Ok(()),
        }
    }

    fn count(&self, outcomes: &[Outcome], begun: Instant) {
        let is_record = |outcome: &&Outcome| matches!(outcome, Outcome::Committed(Some(_)));
        let committed = outcomes.iter().filter(is_record).count();
        let metrics = &self.metrics;
        metrics.records_committed_total.inc_by(committed as u64);
        metrics.commit_batch_records.observe(committed as f64);
        metrics
            .commit_duration_seconds
            .observe(begun.elapsed().as_secs_f64());
    }

    fn reject(&self, entries: Vec<Entry>, reason: Rejected) -> Result<(), Fatal> {
        if entries.is_empty() {
            return Ok(());
        }
        let rejected = |entry: Entry| (entry.reply, Outcome::Rejected(reason));
        self.send(entries.into_iter().map(rejected).collect())
    }

    fn send(&self, answers: Answers) -> Result<(), Fatal> {
        self.answers.send(answers).map_err(|_| Fatal::NobodyAnswers)
    }
}

fn unknown_outcome(records: usize, error: impl std::error::Error + Send + Sync + 'static) -> Fatal {
    Fatal::UnknownOutcome {
        records,
        source: Box::new(error),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                // Too many others were opening or recovering the log at this moment.
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Whether a failed `COMMIT` certainly left nothing behind. The last frame of a transaction is what makes it
/// valid: if it could not be *written*, there is no transaction. If it was written and could not be *synced*
/// (`SQLITE_IOERR_FSYNC`), a later recovery may find it or not.
fn was_not_committed(error: &rusqlite::Error) -> bool {
    let Some(error) = error.sqlite_error() else {
        return false;
    };
    matches!(
        error.code,
        ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::ConstraintViolation
    ) || error.extended_code == ffi::SQLITE_IOERR_WRITE
}
