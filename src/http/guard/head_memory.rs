//! One connection's part of the [`HeadBudget`].

use std::task::Waker;

use super::head_budget::{HeadBudget, HeadReservation};

/// The initial size of hyper's read buffer (hyper 1.12, `INIT_BUFFER_SIZE`).
const HYPER_BUFFER_BYTES: usize = 8192;

#[derive(Debug)]
pub(super) struct HeadMemory {
    budget: HeadBudget,
    /// None while this connection's heads are small and arrive whole.
    reservation: Option<HeadReservation>,
}

impl HeadMemory {
    pub(super) fn new(budget: HeadBudget) -> Self {
        Self {
            budget,
            reservation: None,
        }
    }

    /// A head goes to hyper.
    pub(super) fn head_forwarded(&mut self, head_bytes: usize) {
        if head_bytes <= HYPER_BUFFER_BYTES {
            self.reservation = None;
            return;
        }
        // hyper doubles its buffer until the head fits, so it may be nearly twice as large (estimated, not measured).
        let bytes = head_bytes * 2;
        let reservation = self
            .reservation
            .get_or_insert_with(|| self.budget.new_reservation());
        reservation.set_busy(bytes);
    }

    /// The connection waits for its client. `incomplete_head_bytes`: the memory of a head that has begun, if any.
    pub(super) fn set_waiting(&mut self, incomplete_head_bytes: Option<usize>, task: &Waker) {
        let reservation = match (&mut self.reservation, incomplete_head_bytes) {
            (Some(reservation), _) => reservation,
            (None, Some(_)) => self.reservation.insert(self.budget.new_reservation()),
            (None, None) => return,
        };
        let bytes = reservation.bytes().max(incomplete_head_bytes.unwrap_or(0));
        reservation.set_waiting(bytes, task);
    }

    /// hyper has new bytes, and reads no more before it has processed them.
    pub(super) fn set_busy(&mut self) {
        if let Some(reservation) = &mut self.reservation {
            reservation.set_busy(reservation.bytes());
        }
    }

    /// Whether this connection's reservation was evicted since the last call. Then the connection must close.
    pub(super) fn take_eviction(&mut self) -> bool {
        self.reservation
            .take_if(|reservation| reservation.is_evicted())
            .is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_grows_hypers_buffer_is_counted_twice_until_a_small_one_follows() {
        let budget = HeadBudget::new(100_000);
        let mut memory = HeadMemory::new(budget.clone());
        memory.head_forwarded(HYPER_BUFFER_BYTES);
        assert_eq!(budget.used(), 0);
        memory.head_forwarded(10_000);
        assert_eq!(budget.used(), 20_000);
        memory.head_forwarded(HYPER_BUFFER_BYTES);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_connection_is_evicted_while_it_waits_and_not_while_it_is_busy() {
        let budget = HeadBudget::new(1000);
        let [mut first, mut second] = [(); 2].map(|()| HeadMemory::new(budget.clone()));
        first.set_waiting(Some(900), Waker::noop());
        first.set_busy();
        second.set_waiting(Some(900), Waker::noop());
        assert_eq!(
            [&mut first, &mut second].map(|it| it.take_eviction()),
            [false, true]
        );
    }
}
