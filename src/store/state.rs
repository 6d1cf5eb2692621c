//! What the writer is doing, readable from anywhere without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The writer's activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Nothing to write.
    Idle,
    /// It has work, and waits for the write lock or for a foreign writer.
    WaitingForLock,
    /// It is inside a transaction.
    Committing,
}

/// The activity and since when, packed into one word: the two lowest bits and microseconds since `epoch`.
pub struct WriterState {
    epoch: Instant,
    packed: AtomicU64,
}

/// Sets the writer idle when dropped, whichever way a batch ends.
pub(super) struct IdleAtTheEnd<'a>(&'a WriterState);

impl WriterState {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            packed: AtomicU64::new(0),
        }
    }

    pub(super) fn enter(&self, activity: Activity) -> IdleAtTheEnd<'_> {
        self.now(activity);
        IdleAtTheEnd(self)
    }

    pub(super) fn now(&self, activity: Activity) {
        let micros = self.epoch.elapsed().as_micros() as u64;
        self.packed.store(micros << 2 | activity as u64, Relaxed);
    }

    /// What the writer does, and for how long it has.
    pub fn current(&self) -> (Activity, Duration) {
        let packed = self.packed.load(Relaxed);
        let activity = match packed & 0b11 {
            0 => Activity::Idle,
            1 => Activity::WaitingForLock,
            _ => Activity::Committing,
        };
        let since = Duration::from_micros(packed >> 2);
        (activity, self.epoch.elapsed().saturating_sub(since))
    }
}

impl Drop for IdleAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.now(Activity::Idle);
    }
}
