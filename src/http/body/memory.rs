//! A whole body in memory. Every byte that a buffer allocates is reserved first from `http.body_bytes_in_flight_max`.

use std::sync::Arc;

use axum::body::Bytes;

use super::BodyError;
use super::budget::{Budget, Reservation};

/// A body that is being read. The reservation equals the buffer's capacity.
pub(super) struct MemoryBuffer {
    bytes: Vec<u8>,
    /// Bounds the whole body.
    capacity_max: usize,
    reservation: Reservation,
}

impl MemoryBuffer {
    /// `capacity_max` is an upper bound only: a client that announces a large body and sends nothing must hold no memory.
    pub fn new(budget: Budget, capacity_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            capacity_max,
            reservation: Reservation::new(budget),
        }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Copies `data`: a reference would keep hyper's whole read buffer in memory, uncounted.
    pub fn add(&mut self, data: &[u8]) -> Result<(), BodyError> {
        let length = self.bytes.len() + data.len();
        if length > self.bytes.capacity() {
            // Doubling keeps a body in many small chunks from being moved once a chunk.
            let capacity = length.max(self.capacity_max.min(self.bytes.capacity() * 2));
            self.reservation.grow_to(capacity as u64)?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// The bytes, and their reservation: keep it until the response is ready. An extractor such as `String` copies the
    /// body and drops the original, and the copy may wait in the writer's queue.
    pub fn finish(self) -> (Bytes, Arc<Reservation>) {
        let reservation = Arc::new(self.reservation);
        let bytes = Bytes::from_owner(OwnedBody {
            bytes: self.bytes,
            _reservation: reservation.clone(),
        });
        (bytes, reservation)
    }
}

/// A body's memory. [`Bytes`] keeps it, and so the reservation, until its last clone is dropped.
struct OwnedBody {
    bytes: Vec<u8>,
    _reservation: Arc<Reservation>,
}

impl AsRef<[u8]> for OwnedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reserves_its_capacity_and_returns_it_when_dropped() {
        for (chunk, capacity_max) in [
            (1, 1000),
            (7, 1000),
            (100, 1000),
            (1000, 1000),
            (3, 1 << 20),
        ] {
            let budget = Budget::new(1 << 20);
            let mut body = MemoryBuffer::new(budget.clone(), capacity_max);
            let mut reallocations = 0;
            for _ in 0..1000 / chunk {
                let reserved = body.reservation.bytes();
                body.add(&vec![b'x'; chunk]).unwrap();
                reallocations += usize::from(body.reservation.bytes() != reserved);
                assert_eq!(body.bytes.capacity() as u64, body.reservation.bytes());
                assert_eq!(budget.used(), body.reservation.bytes());
                assert!(body.bytes.capacity() <= capacity_max);
            }
            assert!(reallocations <= 11, "{reallocations} reallocations");
            let reserved = body.reservation.bytes();
            assert!(reserved < 2 * body.len() as u64);
            let (bytes, reservation) = body.finish();
            // Either may outlive the other.
            drop(bytes.clone());
            drop(reservation);
            assert_eq!(budget.used(), reserved);
            drop(bytes);
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn a_body_over_the_budget_is_refused_before_it_allocates() {
        let budget = Budget::new(100);
        let mut first = MemoryBuffer::new(budget.clone(), 60);
        let mut second = MemoryBuffer::new(budget.clone(), 50);
        first.add(&[b'x'; 60]).unwrap();
        second.add(&[b'x'; 30]).unwrap();
        assert_eq!(second.add(b"x"), Err(BodyError::Memory));
        assert_eq!(second.bytes.capacity(), 30);
        drop(first);
        second.add(b"x").unwrap();
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
