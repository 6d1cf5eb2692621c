//! Memory for request heads: one bound for all connections together.
//!
//! A head that arrives whole and fits into hyper's first buffer takes nothing from the budget. An incomplete head does, and
//! so does a large one for as long as its connection lives, because hyper keeps the buffer that it has grown. When the
//! budget is used up, the connection that has waited longest for its client is evicted: it is closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The bytes of all heads that the process holds. A handle.
#[derive(Clone, Debug)]
pub struct HeadBudget(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    used: usize,
    max: usize,
    /// The number of the newest reservation.
    newest: u64,
    /// The reservations of connections that wait for their client: only these can be evicted. The first has waited longest.
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes: usize,
    task: Waker,
}

impl HeadBudget {
    /// `max` is `http.heads_bytes_in_flight_max`.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            used: 0,
            max,
            newest: 0,
            waiting: BTreeMap::new(),
        })))
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.state().used
    }

    pub(super) fn new_reservation(&self) -> HeadReservation {
        let mut state = self.state();
        state.newest += 1;
        HeadReservation {
            number: state.newest,
            bytes: 0,
            is_waiting: false,
            budget: self.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Evicts the reservations that have waited longest until the rest fits, and wakes their connections.
    fn evict(&mut self) {
        while self.used > self.max
            && let Some((_, longest)) = self.waiting.pop_first()
        {
            self.used -= longest.bytes;
            longest.task.wake();
        }
    }
}

/// The bytes that one connection takes from the budget; dropping it returns them.
#[derive(Debug)]
pub(super) struct HeadReservation {
    number: u64,
    bytes: usize,
    /// Then it is in [`State::waiting`], unless it was evicted.
    is_waiting: bool,
    budget: HeadBudget,
}

impl HeadReservation {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The connection waits for its client. From now on it may be evicted, which wakes `task`.
    pub(super) fn set_waiting(&mut self, bytes: usize, task: &Waker) {
        let mut state = self.budget.state();
        let before = match state.waiting.remove(&self.number) {
            None if self.is_waiting => return, // It was evicted.
            _ => self.bytes,
        };
        (self.bytes, self.is_waiting) = (bytes, true);
        state.used = state.used - before + bytes;
        let task = task.clone();
        state.waiting.insert(self.number, Waiting { bytes, task });
        state.evict();
    }

    /// The connection serves a request and cannot be evicted.
    pub(super) fn set_busy(&mut self, bytes: usize) {
        let mut state = self.budget.state();
        if state.waiting.remove(&self.number).is_none() && self.is_waiting {
            return; // It was evicted.
        }
        state.used = state.used - self.bytes + bytes;
        (self.bytes, self.is_waiting) = (bytes, false);
        state.evict();
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.is_waiting && !self.budget.state().waiting.contains_key(&self.number)
    }
}

impl Drop for HeadReservation {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        if state.waiting.remove(&self.number).is_some() || !self.is_waiting {
            state.used -= self.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn task() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (wakes.clone(), wakes.into())
    }

    #[test]
    fn the_reservation_that_has_waited_longest_is_evicted_first() {
        let budget = HeadBudget::new(100);
        let (mut first, mut second, mut third) = (
            budget.new_reservation(),
            budget.new_reservation(),
            budget.new_reservation(),
        );
        let (wakes, waker) = task();
        let (others, other) = task();
        second.set_waiting(40, &other);
        first.set_waiting(40, &waker);
        // It grows and keeps its position.
        first.set_waiting(50, &waker);
        third.set_waiting(10, &other);
        assert_eq!(budget.used(), 100);
        third.set_waiting(11, &other);
        assert!(first.is_evicted() && !second.is_evicted() && !third.is_evicted());
        assert_eq!((wakes.0.load(Relaxed), others.0.load(Relaxed)), (1, 0));
        assert_eq!(budget.used(), 51);
        // Until its connection notices, further calls change nothing.
        first.set_waiting(60, &waker);
        assert!(first.is_evicted());
        drop((first, second));
        assert_eq!(budget.used(), 11);
        drop(third);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_busy_reservation_is_counted_and_not_evicted() {
        let budget = HeadBudget::new(100);
        let (mut busy, mut waiting) = (budget.new_reservation(), budget.new_reservation());
        let (_, waker) = task();
        busy.set_waiting(90, &waker);
        busy.set_busy(90);
        waiting.set_waiting(20, &waker);
        assert!(waiting.is_evicted() && !busy.is_evicted());
        assert_eq!(budget.used(), 90);
        drop(busy);
        assert_eq!(budget.used(), 0);
    }
}
