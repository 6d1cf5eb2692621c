//! The bounded queue between the requests and the writer.
//!
//! Entries arrive one by one on the event loop and are *released* to the writer together, when the loop has
//! polled everything that was ready: one turn of the loop becomes one batch, and one wake-up.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Outcome, Record, Rejected, Work};

/// One thing for the writer to do, and where its outcome goes.
pub(super) struct Entry {
    /// The row to write; none for a handler's second write in one request.
    pub record: Option<Record>,
    /// The application's own writes, in the same transaction.
    pub work: Option<Work>,
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
    deadline: Duration,
}

struct State {
    waiting: VecDeque<Entry>,
    /// How many at the front the writer may take.
    released: usize,
    /// Set at the end of the grace period: nothing is let in any more.
    refusing: bool,
    /// The writer ends when it has nothing left to do.
    stopping: bool,
}

impl Queue {
    pub fn new(records_max: usize, deadline: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                released: 0,
                refusing: false,
                stopping: false,
            }),
            work: Condvar::new(),
            records_max,
            deadline,
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
        work: Option<Work>,
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
        state.released = state.waiting.len();
        if state.released > 0 {
            drop(state);
            self.work.notify_one();
        }
    }

    /// Blocks the writer until there is work; `false` when it shall end.
    pub fn wait_for_work(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.released > 0 {
                return true;
            }
            if state.stopping && state.waiting.is_empty() {
                return false;
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes at most `records_max` entries that are not too late by `now`, oldest first.
    pub fn take(&self, records_max: usize, now: Instant) -> Taken {
        let mut taken = Taken {
            batch: Vec::new(),
            expired: Vec::new(),
        };
        let mut state = self.state();
        taken.batch.reserve(state.released.min(records_max));
        while state.released > 0 && taken.batch.len() < records_max {
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
