//! The writer: one thread with one connection. Durability rests on the order of its steps.
//!
//! 1. Wait for a batch, take the lock, and `BEGIN IMMEDIATE`.
//! 2. Check that the open files are still in place, and take the waiting entries that have not expired.
//! 3. Insert, `COMMIT`, unlock, sync (at `full`), and check the WAL once more.
//! 4. Only then send the outcomes.
//!
//! The writer never sleeps to retry.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::fatal_error::FatalError;
use super::file_identity::{ChangedFile, DatabaseFiles};
use super::lock::WriteLock;
use super::outcome::{BatchOutcomes, Outcome};
use super::queue::{Queue, QueueEntry};
use super::sqlite_errors::{is_busy, is_damage};
use super::transaction::{TransactionOutcome, WriterConnection};
use super::wal_file::WalFile;
use super::writer_status::{WriterState, WriterStatus};
use crate::metrics::Metrics;
use crate::rejected::Rejected;
use crate::telemetry::log_rate_limited;

pub(super) struct Writer {
    pub connection: WriterConnection,
    pub files: DatabaseFiles,
    /// To sync commits; none at `normal`, where they are not synced.
    pub wal: Option<WalFile>,
    pub queue: Arc<Queue>,
    pub status: Arc<WriterStatus>,
    pub outcomes: mpsc::UnboundedSender<BatchOutcomes>,
    pub metrics: Arc<Metrics>,
}

impl Writer {
    /// Runs until the queue is stopped and empty, or until a fatal error.
    pub fn run(&mut self, lock: &mut WriteLock) -> Result<(), FatalError> {
        catch_unwind(AssertUnwindSafe(|| {
            while self.queue.wait_for_batch() {
                self.write_batch(lock)?;
            }
            // Closing the last connection deletes the file at the WAL's path, even if it is not the one that is open.
            self.check_unchanged(self.files.check())
        }))
        .unwrap_or_else(|panic| Err(FatalError::Panic(crate::panic_message(&*panic))))
    }

    fn write_batch(&mut self, lock: &mut WriteLock) -> Result<(), FatalError> {
        let status = self.status.clone();
        let _idle_on_drop = status.enter(WriterState::WaitingForLock);
        let waiting_since = Instant::now();
        let guard = loop {
            let guard = lock.acquire().map_err(FatalError::Lock)?;
            match self.connection.begin() {
                Ok(()) => break guard,
                // A foreign writer has outlasted the busy timeout. Other replicas may try before the next attempt.
                Err(error) if is_busy(&error) => drop(guard),
                Err(error) if is_damage(&error) => return Err(FatalError::Damaged(error)),
                Err(error) => {
                    drop(guard);
                    log_rate_limited("a transaction could not begin", &error);
                    let batch = self.queue.take_batch(Instant::now());
                    self.reject(batch.expired, Rejected::Deadline)?;
                    return self.reject(batch.entries, Rejected::Storage);
                }
            }
        };
        // Other processes may use new files at these paths: a commit into the old ones would corrupt theirs.
        self.check_unchanged(self.files.check())?;
        let begun = Instant::now();
        let lock_wait = begun - waiting_since;
        status.set(WriterState::Committing);
        let mut batch = self.queue.take_batch(begun);
        let outcome = self
            .connection
            .write(&mut batch.entries, &batch.late_outcomes);
        drop(guard);
        let outcome = outcome?;
        self.metrics
            .write_lock_wait_seconds
            .observe(lock_wait.as_secs_f64());
        self.reject(batch.expired, Rejected::Deadline)?;
        match outcome {
            TransactionOutcome::Committed(outcomes) => {
                if !outcomes.is_empty() {
                    self.sync(outcomes.len())?;
                    // If the WAL was replaced since the transaction began, this commit is lost with the old one. A later
                    // change comes after the responses.
                    self.check_unchanged(self.files.check_wal())?;
                    self.count(&outcomes, begun);
                    self.queue.expect_more(outcomes.len());
                }
                let requests = batch.entries.into_iter().map(|entry| entry.outcome);
                self.send(requests.zip(outcomes).collect())
            }
            TransactionOutcome::RolledBack => self.reject(batch.entries, Rejected::Storage),
            // Dropping the batch closes the waiting connections without a response.
            TransactionOutcome::Unknown => Ok(()),
        }
    }

    /// At `full`, makes the commit survive a power failure.
    fn sync(&self, records: usize) -> Result<(), FatalError> {
        match &self.wal {
            Some(wal) => wal
                .sync()
                .map_err(|error| FatalError::unknown_outcome(records, error)),
            None => Ok(()),
        }
    }

    /// A fatal error if a file of the database is not the one that is open.
    fn check_unchanged(&self, checked: Result<(), ChangedFile>) -> Result<(), FatalError> {
        let Err(changed) = checked else {
            return Ok(());
        };
        if changed.is_removed_wal {
            self.connection.save_removed_wal()?;
        }
        let ChangedFile { path, change, .. } = changed;
        Err(FatalError::FileChanged { path, change })
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

    fn reject(&self, entries: Vec<QueueEntry>, reason: Rejected) -> Result<(), FatalError> {
        if entries.is_empty() {
            return Ok(());
        }
        let rejected = |entry: QueueEntry| (entry.outcome, Outcome::Rejected(reason));
        self.send(entries.into_iter().map(rejected).collect())
    }

    fn send(&self, outcomes: BatchOutcomes) -> Result<(), FatalError> {
        self.outcomes
            .send(outcomes)
            .map_err(|_| FatalError::DispatcherGone)
    }
}
