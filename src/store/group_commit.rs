//! Group commit: how long the writer waits for more records before it begins a transaction.
//!
//! With four replicas a commit takes about 100 µs of CPU, however many rows it has (`docs/benchmarks/ideas.md`), so fewer
//! and larger commits are cheaper. A client that just got a response is likely to send its next request at once. So after
//! a commit, the writer waits up to 1 ms for up to 16 of the currently active requests, so that they share the next one.

use std::time::{Duration, Instant};

/// How long the writer waits after a commit. Half of it gains a third as much behind HAProxy; twice as long gains no more
/// (`docs/benchmarks/ideas.md`).
const GROUP_COMMIT_WAIT_MAX: Duration = Duration::from_millis(1);

/// With fewer active requests the writer does not wait: of two clients, the faster one would wait for the slower one at
/// every request.
const GROUP_COMMIT_ACTIVE_MIN: usize = 4;

/// The writer waits for no more records than this: 16 already share the cost of a commit well, and the writer does no
/// work while it waits.
const GROUP_COMMIT_RECORDS_MAX: usize = 16;

/// The writer's wait for more entries.
pub(super) struct GroupCommit {
    /// How many entries the next batch waits for; 0: none.
    pub expected: usize,
    /// When the wait ends.
    pub until: Instant,
    pub wait_max: Duration,
    /// An entry beyond this number fits into no batch, or not into the queue.
    capacity: usize,
}

impl GroupCommit {
    pub fn new(capacity: usize) -> Self {
        Self {
            expected: 0,
            until: Instant::now(),
            wait_max: GROUP_COMMIT_WAIT_MAX,
            capacity,
        }
    }

    /// After a commit: `active` counts its entries, whose clients are about to get their responses, and those in the
    /// queue.
    pub fn expect(&mut self, active: usize) {
        self.expected = match active {
            ..GROUP_COMMIT_ACTIVE_MIN => 0,
            _ => active.min(GROUP_COMMIT_RECORDS_MAX).min(self.capacity),
        };
        self.until = Instant::now() + self.wait_max;
    }

    /// The next batch waits for nothing.
    pub fn reset(&mut self) {
        self.expected = 0;
    }

    /// Whether so many entries are enough for a batch.
    pub fn is_complete(&self, entries: usize) -> bool {
        entries >= self.expected
    }

    /// How much longer to wait for the others; none if the time is up.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_lasts_for_its_time_from_the_commit() {
        let mut group_commit = GroupCommit::new(100);
        group_commit.wait_max = Duration::from_secs(3600);
        group_commit.expect(GROUP_COMMIT_ACTIVE_MIN);
        assert!(group_commit.time_left() > Some(Duration::from_secs(3000)));
        group_commit.wait_max = Duration::ZERO;
        group_commit.expect(GROUP_COMMIT_ACTIVE_MIN);
        assert_eq!(group_commit.time_left(), None);
    }
}
