//! The writer: one thread, one connection, and the order that the whole product rests on.
//!
//! Wait for work, lock, `BEGIN IMMEDIATE`, take what waits and has not expired, insert, `COMMIT`, unlock, and
//! only then tell the requests. There is no timer in it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpointer;
use super::insert::Inserter;
use super::lock::WriteLock;
use super::queue::{Entry, Queue};
use super::state::{Activity, WriterState};
use super::{Outcome, Rejected};
use crate::metrics::Metrics;
use crate::telemetry::log_storm;

/// Outcomes of one batch, on their way to the requests.
pub(super) type Answers = Vec<(oneshot::Sender<Outcome>, Outcome)>;

/// Why the writer, and with it the process, cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The sync of a commit failed: whether its rows will be there after a power cut, nobody knows.
    #[error("the outcome of a commit of {records} records is unknown: {source}")]
    UnknownOutcome {
        /// How many requests were left without an answer.
        records: usize,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// `flock` itself failed.
    #[error("the write lock: {0}")]
    Lock(std::io::Error),
    /// A defect of ours.
    #[error("the writer panicked: {0}")]
    Panic(String),
}

pub(super) struct Writer {
    /// Dropped before the connection.
    pub checkpointer: Checkpointer,
    pub connection: Connection,
    pub queue: Arc<Queue>,
    pub state: Arc<WriterState>,
    pub answers: mpsc::UnboundedSender<Answers>,
    pub metrics: Arc<Metrics>,
    pub batch_records_max: usize,
    pub inserter: Inserter,
}

impl Writer {
    /// Runs until the queue is stopped and empty, or until it cannot go on.
    pub fn run(mut self, mut lock: WriteLock) -> Result<(), Fatal> {
        catch_unwind(AssertUnwindSafe(|| {
            while self.queue.wait_for_work() {
                self.write_batch(&mut lock)?;
            }
            Ok(())
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
                Err(error) => {
                    drop(held);
                    log_storm("no transaction could be begun", &error);
                    let taken = self.queue.take(self.batch_records_max, Instant::now());
                    self.reject(taken.expired, Rejected::Deadline);
                    self.reject(taken.batch, Rejected::Storage);
                    return Ok(());
                }
            }
        };
        let begun = Instant::now();
        let lock_wait = begun - waiting_since;
        state.now(Activity::Committing);
        let taken = self.queue.take(self.batch_records_max, begun);
        let records = taken.batch.len();
        let result = if records == 0 {
            // Everything expired while we waited.
            self.rollback();
            Ok(Vec::new())
        } else {
            self.insert_and_commit(taken.batch)
        };
        drop(held);
        self.metrics
            .write_lock_wait_seconds
            .observe(lock_wait.as_secs_f64());
        self.reject(taken.expired, Rejected::Deadline);
        let answers = result?;
        if records > 0 {
            self.metrics
                .commit_duration_seconds
                .observe(begun.elapsed().as_secs_f64());
            self.metrics.commit_batch_records.observe(records as f64);
            let committed = answers
                .iter()
                .filter(|(_, outcome)| matches!(outcome, Outcome::Committed(Some(_))))
                .count();
            self.metrics
                .records_committed_total
                .inc_by(committed as u64);
        }
        self.send(answers);
        Ok(())
    }

    fn insert_and_commit(&mut self, mut batch: Vec<Entry>) -> Result<Answers, Fatal> {
        let inserted = self.inserter.insert(&mut self.connection, &mut batch);
        let outcomes = match inserted {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.rollback();
                log_storm("a batch was not written", &error);
                return Ok(all_rejected(batch, Rejected::Storage));
            }
        };
        match self.statement("COMMIT") {
            Ok(()) => {
                self.checkpointer.publish_frames();
                Ok(batch
                    .into_iter()
                    .map(|entry| entry.reply)
                    .zip(outcomes)
                    .collect())
            }
            Err(error) if was_not_committed(&error) => {
                self.rollback();
                log_storm("a commit was refused", &error);
                Ok(all_rejected(batch, Rejected::Storage))
            }
            // Dropping the batch closes the connections that wait for it, without a word.
            Err(source) => Err(Fatal::UnknownOutcome {
                records: batch.len(),
                source,
            }),
        }
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(drop)
    }

    /// Leaves no transaction open. SQLite may have ended it by itself.
    fn rollback(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.statement("ROLLBACK")
        {
            log_storm("a rollback failed", &error);
        }
    }

    fn reject(&self, entries: Vec<Entry>, reason: Rejected) {
        if !entries.is_empty() {
            self.send(all_rejected(entries, reason));
        }
    }

    fn send(&self, answers: Answers) {
        // Fails only when the runtime is gone, and with it everybody who waits.
        let _ = self.answers.send(answers);
    }
}

fn all_rejected(entries: Vec<Entry>, reason: Rejected) -> Answers {
    entries
        .into_iter()
        .map(|entry| (entry.reply, Outcome::Rejected(reason)))
        .collect()
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
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
