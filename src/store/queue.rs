//! The bounded queue between the requests and the writer.
//!
//! Entries arrive one by one on the event loop and are *released* to the writer together, when the loop has
//! polled everything that was ready: one wake-up for all of one turn.
//!
//! With four replicas a commit takes about 100 µs of CPU beyond its rows, however many (`docs/benchmarks/ideas.md`), so
//! the fewer the better. Whoever was just answered is likely to ask again at once, so the writer gathers: until as many are
//! here as there were about when it answered, those it answered and those that were waiting by then, or
//! [`GROUP_COMMIT_ENOUGH`]; and no longer than [`GROUP_COMMIT_MAX`] after that, for they may be gone.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Outcome, Record, Rejected, WriteFn};
use crate::config::Commit;

/// For how long after it has answered the writer waits for more to share a commit. Half of it gains a third as much behind
/// HAProxy, and twice as long no more (`docs/benchmarks/ideas.md`).
const GROUP_COMMIT_MAX: Duration = Duration::from_millis(1);

/// How many have to be about for the writer to gather. A few save too little to wait for each other: of two clients, the
/// quicker one would be held up by the slower at every request.
const GROUP_COMMIT_FROM: usize = 4;

/// How many are enough, however many are about: what a commit costs is well shared by then, and while the writer waits for
/// the others it does not work.
const GROUP_COMMIT_ENOUGH: usize = 16;

/// One thing for the writer to do, and where its outcome goes.
pub(super) struct Entry {
    /// The row to write; none for a handler's second write in one request.
    pub record: Option<Record>,
    /// The application's own writes, in the same transaction.
    pub work: Option<WriteFn>,
    /// The work is taken out to be run, once.
    pub work_has_run: bool,
    /// When it is too late to begin.
    pub deadline: Instant,
    pub reply: oneshot::Sender<Outcome>,
}

/// What the writer gets: what it shall write, and what came too late.
pub(super) struct Taken {
    pub batch: Vec<Entry>,
    pub expired: Vec<Entry>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    records_max: usize,
    batch_records_max: usize,
    deadline: Duration,
    gather_max: Duration,
}

struct State {
    waiting: VecDeque<Entry>,
    /// How many at the front the writer may take.
    released: usize,
    /// How many the writer waits for, no more than fit into a batch and into the queue; 0: for nobody.
    expected: usize,
    /// When it gathers no longer.
    gather_until: Instant,
    /// Set at the end of the grace period: nothing is let in any more.
    refusing: bool,
    /// The writer ends when it has nothing left to do.
    stopping: bool,
}

impl State {
    /// Whether all are here whom the writer waits for.
    fn has_gathered(&self) -> bool {
        self.released >= self.expected
    }
}

impl Queue {
    pub fn new(commit: &Commit) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                released: 0,
                expected: 0,
                gather_until: Instant::now(),
                refusing: false,
                stopping: false,
            }),
            work: Condvar::new(),
            records_max: commit.queue_records_max.get(),
            batch_records_max: commit.batch_records_max.get(),
            deadline: commit.deadline.get(),
            gather_max: GROUP_COMMIT_MAX,
        }
    }

    /// A poisoned mutex is no reason to stop: what is done while it is held leaves the state whole at every step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry; the writer sees it after the next [`Queue::release`].
    pub fn push(
        &self,
        record: Option<Record>,
        work: Option<WriteFn>,
    ) -> Result<oneshot::Receiver<Outcome>, Rejected> {
        let (reply, outcome) = oneshot::channel();
        let deadline = Instant::now() + self.deadline;
        let mut state = self.state();
        if state.refusing {
            return Err(Rejected::Draining);
        }
        if state.waiting.len() >= self.records_max {
            return Err(Rejected::QueueFull);
        }
        state.waiting.push_back(Entry {
            record,
            work,
            work_has_run: false,
            deadline,
            reply,
        });
        Ok(outcome)
    }

    /// Lets the writer have all that waits.
    pub fn release(&self) {
        let mut state = self.state();
        let was_empty = state.released == 0;
        state.released = state.waiting.len();
        // While the writer gathers, it is woken for the last of those it waits for, not for each of them.
        if state.released > 0 && (was_empty || state.has_gathered()) {
            drop(state);
            self.work.notify_one();
        }
    }

    /// Blocks the writer until there is work, and until as much has been gathered as is likely to come; `false` when it
    /// shall end.
    pub fn wait_for_work(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.stopping && state.waiting.is_empty() {
                return false;
            }
            if state.released == 0 {
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if state.stopping || state.has_gathered() {
                return true;
            }
            let left = state.gather_until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            (state, _) = self
                .work
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Hears from the writer how many it is about to answer.
    pub fn answered(&self, entries: usize) {
        let mut state = self.state();
        let about = entries + state.waiting.len();
        state.expected = match about {
            ..GROUP_COMMIT_FROM => 0,
            _ => GROUP_COMMIT_ENOUGH
                .min(about)
                .min(self.batch_records_max)
                .min(self.records_max),
        };
        state.gather_until = Instant::now() + self.gather_max;
    }

    /// Takes a batch of entries that are not too late by `now`, oldest first.
    pub fn take(&self, now: Instant) -> Taken {
        let mut taken = Taken {
            batch: Vec::new(),
            expired: Vec::new(),
        };
        let mut state = self.state();
        state.expected = 0;
        taken
            .batch
            .reserve(state.released.min(self.batch_records_max));
        while state.released > 0 && taken.batch.len() < self.batch_records_max {
            let Some(entry) = state.waiting.pop_front() else {
                break;
            };
            state.released -= 1;
            if entry.deadline <= now {
                taken.expired.push(entry);
            } else {
                taken.batch.push(entry);
            }
        }
        taken
    }

    /// Takes out whatever is too late by `now`. Deadlines rise from the front to the back.
    pub fn expire(&self, now: Instant) -> Vec<Entry> {
        let mut expired = Vec::new();
        let mut state = self.state();
        while let Some(entry) = state.waiting.pop_front_if(|entry| entry.deadline <= now) {
            state.released = state.released.saturating_sub(1);
            expired.push(entry);
        }
        expired
    }

    /// The moment to call [`Queue::expire`] next: nothing that waits, or is yet to come, expires before it.
    pub fn next_expiry(&self, now: Instant) -> Instant {
        let state = self.state();
        match state.waiting.front() {
            Some(entry) => entry.deadline,
            None => now + self.deadline,
        }
    }

    /// Empties the queue and lets nothing in from now on: the end of the grace period.
    pub fn refuse(&self) -> Vec<Entry> {
        let mut state = self.state();
        state.refusing = true;
        state.released = 0;
        state.waiting.drain(..).collect()
    }

    /// Tells the writer to end once the queue is empty.
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        state.released = state.waiting.len();
        drop(state);
        self.work.notify_one();
    }

    /// Ends the writer, and drops what waits: nobody is left to hear of it.
    pub fn abandon(&self) {
        drop(self.refuse());
        self.stop();
    }

    /// Records waiting now.
    pub fn len(&self) -> usize {
        self.state().waiting.len()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
