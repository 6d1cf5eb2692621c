//! Memory for request heads: a bound for all connections together.
//!
//! A head that comes in one piece and fits into hyper's first buffer takes nothing from the budget. One that is waited for
//! does, and so does a large one, for as long as its connection lives: hyper keeps the buffer that it has grown for it. When
//! the budget is used up, the connection that has waited longest is closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::Guard;
use super::{CloseReason, Fault};

/// What hyper's buffer for reading is at first (hyper 1.12, `INIT_BUFFER_SIZE`).
const HYPERS_BUFFER_BYTES: usize = 8192;

/// All heads that the process holds, in bytes. A handle.
#[derive(Clone, Debug)]
pub struct HeadBudget(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    used: usize,
    max: usize,
    /// The number of the next share.
    next: u64,
    /// Shares whose connections wait for the client: only those can be closed. The first has waited longest.
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
            next: 0,
            waiting: BTreeMap::new(),
        })))
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.state().used
    }

    fn enter(&self) -> HeadShare {
        let mut state = self.state();
        state.next += 1;
        HeadShare {
            number: state.next,
            bytes: 0,
            is_waiting: false,
            budget: self.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes their share from those that have waited longest, until the rest fits, and wakes them to hear of it.
    fn shed(&mut self) {
        while self.used > self.max
            && let Some((_, longest)) = self.waiting.pop_first()
        {
            self.used -= longest.bytes;
            longest.task.wake();
        }
    }
}

/// What one connection takes from the budget, until this is dropped.
#[derive(Debug)]
pub(super) struct HeadShare {
    number: u64,
    bytes: usize,
    /// Among [`State::waiting`], unless it was taken away since.
    is_waiting: bool,
    budget: HeadBudget,
}

impl HeadShare {
    /// The connection waits for its client: it may be closed for others, which wakes `task`.
    fn wait(&mut self, bytes: usize, task: &Waker) {
        let mut state = self.budget.state();
        let before = match state.waiting.remove(&self.number) {
            None if self.is_waiting => return, // It was taken away.
            _ => self.bytes,
        };
        (self.bytes, self.is_waiting) = (bytes, true);
        state.used = state.used - before + bytes;
        let task = task.clone();
        state.waiting.insert(self.number, Waiting { bytes, task });
        state.shed();
    }

    /// The connection is at work: it is not closed.
    fn hold(&mut self, bytes: usize) {
        let mut state = self.budget.state();
        if state.waiting.remove(&self.number).is_none() && self.is_waiting {
            return; // It was taken away.
        }
        state.used = state.used - self.bytes + bytes;
        (self.bytes, self.is_waiting) = (bytes, false);
        state.shed();
    }

    fn was_taken_away(&self) -> bool {
        self.is_waiting && !self.budget.state().waiting.contains_key(&self.number)
    }
}

impl Drop for HeadShare {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        if state.waiting.remove(&self.number).is_some() || !self.is_waiting {
            state.used -= self.bytes;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// A head has passed.
    pub(super) fn head_has_passed(&mut self, head_bytes: usize) {
        if head_bytes <= HYPERS_BUFFER_BYTES {
            self.share = None;
            return;
        }
        // hyper doubles its buffer until the head fits, so it may be nearly twice as large (estimated, not measured).
        let bytes = head_bytes * 2;
        let budget = &self.heads;
        self.share.get_or_insert_with(|| budget.enter()).hold(bytes);
    }

    /// The client is waited for.
    pub(super) fn wait_with_head(&mut self, cx: &mut Context<'_>) {
        let within_head = self.framing.wants_head() && !self.framing.is_between_messages();
        let budget = &self.heads;
        let share = match &mut self.share {
            Some(share) => share,
            None if within_head => self.share.insert(budget.enter()),
            None => return,
        };
        let bytes = match within_head {
            true => share.bytes.max(self.input.capacity()),
            false => share.bytes,
        };
        share.wait(bytes, cx.waker());
    }

    /// hyper has got something, and will not ask for more before it has dealt with it.
    pub(super) fn work_with_head(&mut self) {
        if let Some(share) = &mut self.share {
            share.hold(share.bytes);
        }
    }

    /// Refuses the current request if the connection has lost its share to others. `true`: nothing is open, and the
    /// connection is to end.
    pub(super) fn is_shed(&mut self) -> bool {
        if !self.share.as_ref().is_some_and(HeadShare::was_taken_away) {
            return false;
        }
        self.share = None;
        let fault = Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are held in memory",
        );
        match self
            .framing
            .refuse_for_memory(fault, &self.input, self.pass)
        {
            Some(step) => {
                self.take(step);
                false
            }
            None => {
                self.exchange.closing(CloseReason::Memory);
                true
            }
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
    fn the_one_that_has_waited_longest_goes_first() {
        let budget = HeadBudget::new(100);
        let (mut first, mut second, mut third) = (budget.enter(), budget.enter(), budget.enter());
        let (wakes, waker) = task();
        let (others, other) = task();
        second.wait(40, &other);
        first.wait(40, &waker);
        // It grows, and keeps its place.
        first.wait(50, &waker);
        third.wait(10, &other);
        assert_eq!(budget.used(), 100);
        third.wait(11, &other);
        assert!(first.was_taken_away() && !second.was_taken_away() && !third.was_taken_away());
        assert_eq!((wakes.0.load(Relaxed), others.0.load(Relaxed)), (1, 0));
        assert_eq!(budget.used(), 51);
        // It hears of it only when it is asked, whatever it did before.
        first.wait(60, &waker);
        assert!(first.was_taken_away());
        drop((first, second));
        assert_eq!(budget.used(), 11);
        drop(third);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_at_work_is_left_alone_and_counted() {
        let budget = HeadBudget::new(100);
        let (mut working, mut waiting) = (budget.enter(), budget.enter());
        let (_, waker) = task();
        working.wait(90, &waker);
        working.hold(90);
        waiting.wait(20, &waker);
        assert!(waiting.was_taken_away() && !working.was_taken_away());
        assert_eq!(budget.used(), 90);
        drop(working);
        assert_eq!(budget.used(), 0);
    }
}
