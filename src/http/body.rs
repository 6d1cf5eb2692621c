//! Reads a request's whole body, within the limits, before a handler runs.
//!
//! Every byte that a body buffer allocates is reserved first from `http.body_bytes_in_flight_max`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use axum::body::Bytes;
use axum::http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::config::Http;

/// Memory for all request bodies of the process.
#[derive(Clone)]
pub struct BodyBudget {
    used: Arc<AtomicUsize>,
    max: usize,
}

impl BodyBudget {
    /// `max` is `http.body_bytes_in_flight_max`.
    pub fn new(max: usize) -> Self {
        Self {
            used: Arc::default(),
            max,
        }
    }

    fn reserve(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.used.fetch_update(Relaxed, Relaxed, fits).is_ok()
    }
}

/// Bytes reserved from the budget; dropping it returns them.
pub struct Reservation {
    bytes: usize,
    budget: BodyBudget,
}

impl Reservation {
    fn grow_to(&mut self, bytes: usize) -> Result<(), BodyError> {
        if !self.budget.reserve(bytes - self.bytes) {
            return Err(BodyError::Memory);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// A body that is being read. The reservation equals the buffer's capacity.
struct BodyBuffer {
    bytes: Vec<u8>,
    reservation: Reservation,
}

impl BodyBuffer {
    fn new(budget: BodyBudget) -> Self {
        Self {
            bytes: Vec::new(),
            reservation: Reservation { bytes: 0, budget },
        }
    }

    /// Copies `data`: a reference would keep hyper's whole read buffer in memory, uncounted. `capacity_max` bounds the
    /// whole body.
    fn add(&mut self, data: &[u8], capacity_max: usize) -> Result<(), BodyError> {
        let length = self.bytes.len() + data.len();
        if length > self.reservation.bytes {
            // Doubling keeps a body in many small chunks from being moved once a chunk.
            let capacity = length.max(capacity_max.min(self.reservation.bytes * 2));
            self.reservation.grow_to(capacity)?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
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

/// A whole body.
#[derive(Default)]
pub struct BufferedBody {
    pub bytes: Bytes,
    /// Keep it until the response is ready: an extractor such as `String` copies the body and drops the original, and the
    /// copy may wait in the writer's queue. `None` for an empty body.
    pub reservation: Option<Arc<Reservation>>,
}

impl From<BodyBuffer> for BufferedBody {
    fn from(BodyBuffer { bytes, reservation }: BodyBuffer) -> Self {
        let reservation = Arc::new(reservation);
        let _reservation = reservation.clone();
        Self {
            bytes: Bytes::from_owner(OwnedBody {
                bytes,
                _reservation,
            }),
            reservation: Some(reservation),
        }
    }
}

/// Why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// The client disconnected, or the guard refused the body's framing.
    Broken,
    /// The request gets this status, and a row.
    Refused(StatusCode, &'static str),
    /// `http.body_bytes_in_flight_max` is used up.
    Memory,
}

/// Returns the number of bytes read, whatever the result, and the body.
pub async fn read(
    incoming: Incoming,
    limits: &Http,
    budget: &BodyBudget,
) -> (u64, Result<BufferedBody, BodyError>) {
    if incoming.is_end_stream() {
        return (0, Ok(BufferedBody::default()));
    }
    let mut read_bytes = 0;
    let body = collect(
        incoming,
        limits.body_bytes_max.get(),
        budget,
        &mut read_bytes,
    );
    let result = tokio::time::timeout(limits.body_timeout.get(), body)
        .await
        .unwrap_or(Err(BodyError::Refused(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long",
        )));
    (read_bytes as u64, result)
}

async fn collect(
    mut incoming: Incoming,
    bytes_max: usize,
    budget: &BodyBudget,
    read_bytes: &mut usize,
) -> Result<BufferedBody, BodyError> {
    // An upper bound only: a client that announces a large body and sends nothing must hold no memory.
    let capacity_max = match incoming.size_hint().exact() {
        Some(length) => bytes_max.min(usize::try_from(length).unwrap_or(usize::MAX)),
        None => bytes_max,
    };
    let mut body = BodyBuffer::new(budget.clone());
    while let Some(frame) = incoming.frame().await {
        // Drop trailers: the guard has checked them.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        *read_bytes += data.len();
        if *read_bytes > bytes_max {
            return Err(BodyError::Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than this server accepts",
            ));
        }
        body.add(&data, capacity_max)?;
    }
    Ok(body.into())
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
            let budget = BodyBudget::new(1 << 20);
            let mut body = BodyBuffer::new(budget.clone());
            let mut reallocations = 0;
            for _ in 0..1000 / chunk {
                let reserved = body.reservation.bytes;
                body.add(&vec![b'x'; chunk], capacity_max).unwrap();
                reallocations += usize::from(body.reservation.bytes != reserved);
                assert_eq!(body.bytes.capacity(), body.reservation.bytes);
                assert_eq!(budget.used.load(Relaxed), body.reservation.bytes);
                assert!(body.reservation.bytes <= capacity_max);
            }
            assert!(reallocations <= 11, "{reallocations} reallocations");
            let reserved = body.reservation.bytes;
            assert!(reserved < 2 * body.bytes.len());
            let BufferedBody { bytes, reservation } = body.into();
            // Either may outlive the other.
            drop(bytes.clone());
            drop(reservation);
            assert_eq!(budget.used.load(Relaxed), reserved);
            drop(bytes);
            assert_eq!(budget.used.load(Relaxed), 0);
        }
    }

    #[test]
    fn a_body_over_the_budget_is_refused_before_it_allocates() {
        let budget = BodyBudget::new(100);
        let (mut first, mut second) = (
            BodyBuffer::new(budget.clone()),
            BodyBuffer::new(budget.clone()),
        );
        first.add(&[b'x'; 60], 60).unwrap();
        second.add(&[b'x'; 30], 50).unwrap();
        assert!(matches!(second.add(b"x", 50), Err(BodyError::Memory)));
        assert_eq!(second.bytes.capacity(), 30);
        drop(first);
        second.add(b"x", 50).unwrap();
        drop(second);
        assert_eq!(budget.used.load(Relaxed), 0);
    }
}
