//! The writer's state, readable from any thread without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The writer's current step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterState {
    /// Nothing is queued.
    Idle,
    /// Records are queued; the writer waits for the write lock or for a foreign writer.
    WaitingForLock,
    /// The writer is in a transaction, or syncing it.
    Committing,
}

/// The writer's state and when it began, in one word: two bits for the state, the rest for microseconds since `epoch`.
pub(crate) struct WriterStatus {
    epoch: Instant,
    packed: AtomicU64,
}

/// Sets the writer idle when a batch ends, in whatever way.
pub(super) struct IdleOnDrop<'a>(&'a WriterStatus);

impl WriterStatus {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            packed: AtomicU64::new(0),
        }
    }

    pub(super) fn enter(&self, state: WriterState) -> IdleOnDrop<'_> {
        self.set(state);
        IdleOnDrop(self)
    }

    pub(super) fn set(&self, state: WriterState) {
        let micros = self.epoch.elapsed().as_micros() as u64;
        self.packed.store(micros << 2 | state as u64, Relaxed);
    }

    /// The writer's state, and for how long it has been in it.
    pub(crate) fn current(&self) -> (WriterState, Duration) {
        let packed = self.packed.load(Relaxed);
        let state = match packed & 0b11 {
            0 => WriterState::Idle,
            1 => WriterState::WaitingForLock,
            _ => WriterState::Committing,
        };
        let since = Duration::from_micros(packed >> 2);
        (state, self.epoch.elapsed().saturating_sub(since))
    }
}

impl Drop for IdleOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(WriterState::Idle);
    }
}
