//! The bounded queue between the requests and the writer.
//!
//! Requests push entries one by one on the event loop. The dispatcher *releases* them to the writer together, once the
//! loop has polled every task that was ready: one wake-up for all of them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::group_commit::GroupCommit;
use super::outcome::{Outcome, WriteFn};
use super::record::{LateOutcome, Record};
use crate::config::Commit;
use crate::rejected::Rejected;

/// The writes of one request.
pub(super) struct QueueEntry {
    /// The row to insert; none for a handler's second write in one request.
    pub record: Option<Record>,
    /// The handler's own writes, in the same transaction. The writer takes it out to run it.
    pub write_fn: Option<WriteFn>,
    pub write_fn_has_run: bool,
    /// After this the entry is rejected, unless a transaction has taken it.
    pub deadline: Instant,
    pub outcome: oneshot::Sender<Outcome>,
}

impl QueueEntry {
    pub fn reject(self, reason: Rejected) {
        // Fails if the client is gone.
        let _ = self.outcome.send(Outcome::Rejected(reason));
    }
}

/// How long an outcome waits for records to be written with.
const LATE_OUTCOME_WAIT_MAX: Duration = Duration::from_secs(1);
/// Further outcomes are dropped: their rows have none.
const LATE_OUTCOMES_MAX: usize = 65_536;

/// The writer's share of the queue: the entries to write, those past their deadline, and the outcomes that came after their
/// records.
pub(super) struct Batch {
    pub entries: Vec<QueueEntry>,
    pub late_outcomes: Vec<LateOutcome>,
    pub expired: Vec<QueueEntry>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    writable: Condvar,
    /// Wakes the dispatcher once in each turn of the event loop.
    pushed: Notify,
    records_max: usize,
    batch_records_max: usize,
    deadline: Duration,
}

struct State {
    waiting: VecDeque<QueueEntry>,
    /// How many entries at the front the writer may take.
    released: usize,
    group_commit: GroupCommit,
    /// Nobody waits for them.
    late_outcomes: Vec<LateOutcome>,
    /// When they have to be written without records.
    late_outcomes_due: Instant,
    /// Set at the end of the grace period, or when the writer ends: every push is rejected.
    is_closed: bool,
    /// The writer ends when the queue is empty.
    is_stopping: bool,
}

impl Queue {
    pub fn new(commit: &Commit) -> Self {
        let capacity = commit
            .batch_records_max
            .get()
            .min(commit.queue_records_max.get());
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                released: 0,
                group_commit: GroupCommit::new(capacity),
                late_outcomes: Vec::new(),
                late_outcomes_due: Instant::now(),
                is_closed: false,
                is_stopping: false,
            }),
            writable: Condvar::new(),
            pushed: Notify::new(),
            records_max: commit.queue_records_max.get(),
            batch_records_max: commit.batch_records_max.get(),
            deadline: commit.deadline.get(),
        }
    }

    /// Ignores poisoning: the state is consistent at every step while the mutex is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry. The writer can take it after the next [`Queue::release`].
    pub fn push(
        &self,
        record: Option<Record>,
        write_fn: Option<WriteFn>,
    ) -> Result<oneshot::Receiver<Outcome>, Rejected> {
        let (sender, outcome) = oneshot::channel();
        let deadline = Instant::now() + self.deadline;
        let mut state = self.state();
        if state.is_closed {
            return Err(Rejected::Draining);
        }
        if state.waiting.len() >= self.records_max {
            return Err(Rejected::QueueFull);
        }
        state.waiting.push_back(QueueEntry {
            record,
            write_fn,
            write_fn_has_run: false,
            deadline,
            outcome: sender,
        });
        drop(state);
        self.pushed.notify_one();
        Ok(outcome)
    }

    /// Adds the outcome of a request whose record is committed. It is written with the next records, or a second later
    /// without any.
    pub fn push_late_outcome(&self, outcome: LateOutcome) {
        let mut state = self.state();
        if state.late_outcomes.len() >= LATE_OUTCOMES_MAX {
            return;
        }
        state.late_outcomes.push(outcome);
        if state.late_outcomes.len() == 1 {
            state.late_outcomes_due = Instant::now() + LATE_OUTCOME_WAIT_MAX;
            drop(state);
            // The writer may wait without a time limit.
            self.writable.notify_one();
        }
    }

    /// Returns when an entry was pushed since the last call.
    pub async fn pushed(&self) {
        self.pushed.notified().await;
    }

    /// Lets the writer take all entries that wait.
    pub fn release(&self) {
        let mut state = self.state();
        let was_empty = state.released == 0;
        state.released = state.waiting.len();
        // During a group commit, wake the writer for the last entry it waits for, not for each of them.
        let is_due = was_empty || state.group_commit.is_complete(state.released);
        if state.released > 0 && is_due {
            drop(state);
            self.writable.notify_one();
        }
    }

    /// Blocks the writer until a batch is due; `false` when the writer must end.
    pub fn wait_for_batch(&self) -> bool {
        let mut state = self.state();
        loop {
            let has_outcomes = !state.late_outcomes.is_empty();
            if state.is_stopping && state.waiting.is_empty() && !has_outcomes {
                // A later push, of a task in the background, would never get its outcome.
                state.is_closed = true;
                return false;
            }
            if state.released == 0 && !has_outcomes {
                state = self
                    .writable
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if state.released == 0 && !state.is_stopping {
                let due = state.late_outcomes_due;
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return true;
                }
                (state, _) = self
                    .writable
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if state.is_stopping || state.group_commit.is_complete(state.released) {
                return true;
            }
            let Some(left) = state.group_commit.time_left() else {
                return true;
            };
            (state, _) = self
                .writable
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The writer has committed that many entries, and is about to send their outcomes: begins a group commit.
    pub fn expect_more(&self, committed: usize) {
        let mut state = self.state();
        let active = committed + state.waiting.len();
        state.group_commit.expect(active);
    }

    /// Takes the oldest entries, up to a full batch, and separates those past their deadline at `now`.
    pub fn take_batch(&self, now: Instant) -> Batch {
        let mut batch = Batch {
            entries: Vec::new(),
            late_outcomes: Vec::new(),
            expired: Vec::new(),
        };
        let mut state = self.state();
        batch.late_outcomes = std::mem::take(&mut state.late_outcomes);
        state.group_commit.reset();
        batch
            .entries
            .reserve(state.released.min(self.batch_records_max));
        while state.released > 0 && batch.entries.len() < self.batch_records_max {
            let Some(entry) = state.waiting.pop_front() else {
                break;
            };
            state.released -= 1;
            if entry.deadline <= now {
                batch.expired.push(entry);
            } else {
                batch.entries.push(entry);
            }
        }
        batch
    }

    /// Takes out the entries past their deadline at `now`. Deadlines ascend from the front to the back.
    pub fn take_expired(&self, now: Instant) -> Vec<QueueEntry> {
        let mut expired = Vec::new();
        let mut state = self.state();
        while let Some(entry) = state.waiting.pop_front_if(|entry| entry.deadline <= now) {
            state.released = state.released.saturating_sub(1);
            expired.push(entry);
        }
        expired
    }

    /// When to call [`Queue::take_expired`] next: no entry, present or future, expires earlier.
    pub fn next_expiry(&self, now: Instant) -> Instant {
        let state = self.state();
        match state.waiting.front() {
            Some(entry) => entry.deadline,
            None => now + self.deadline,
        }
    }

    /// Empties the queue, and rejects every later push: the end of the grace period.
    pub fn close(&self) -> Vec<QueueEntry> {
        let mut state = self.state();
        state.is_closed = true;
        state.released = 0;
        state.waiting.drain(..).collect()
    }

    /// Tells the writer to end once the queue is empty.
    pub fn stop(&self) {
        let mut state = self.state();
        state.is_stopping = true;
        state.released = state.waiting.len();
        drop(state);
        self.writable.notify_one();
    }

    /// Ends the writer, and drops the waiting entries without an outcome.
    pub fn close_and_stop(&self) {
        drop(self.close());
        self.stop();
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.state().waiting.len()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
