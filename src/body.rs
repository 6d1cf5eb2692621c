//! A request's body, read whole within the limits before a handler runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::config::Http;

/// All bodies that the process holds, in bytes.
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

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.used.fetch_update(Relaxed, Relaxed, fits).is_ok()
    }
}

/// A body together with its share of the budget, which is all the memory it has, used or not. Both end when the last
/// reference does, an echo's answer included.
struct Held {
    bytes: Vec<u8>,
    /// Taken from the budget.
    share: usize,
    budget: BodyBudget,
}

impl Held {
    fn new(budget: BodyBudget) -> Self {
        Self {
            bytes: Vec::new(),
            share: 0,
            budget,
        }
    }

    /// Adds a copy of `data`: it is a piece of the connection's buffer, which would stay in memory with it, whole and
    /// uncounted. `most` is what the body can come to.
    fn add(&mut self, data: &[u8], most: usize) -> Result<(), BodyError> {
        let wanted = self.bytes.len() + data.len();
        if wanted > self.share {
            // Doubled, or a body in many pieces would be moved once for each; and paid for before it is there.
            let room = wanted.max(most.min(self.share * 2));
            if !self.budget.take(room - self.share) {
                return Err(BodyError::Memory);
            }
            self.share = room;
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.share, Relaxed);
    }
}

/// Why there is no whole body.
#[derive(Debug)]
pub enum BodyError {
    /// The connection failed, the client's or by a framing that the guard refuses.
    Broken,
    /// It is answered, and recorded, with this status.
    Refused(StatusCode, &'static str),
    /// The budget is used up.
    Memory,
}

/// Reads a body; also says how many bytes were read, whatever the result.
pub async fn read(
    incoming: Incoming,
    limits: &Http,
    budget: &BodyBudget,
) -> (u64, Result<Bytes, BodyError>) {
    if incoming.is_end_stream() {
        return (0, Ok(Bytes::new()));
    }
    let mut read_bytes = 0;
    let whole = collect(incoming, limits.body_bytes_max, budget, &mut read_bytes);
    let result = within(limits.body_timeout, whole).await;
    (read_bytes as u64, result)
}

async fn within(
    timeout: Duration,
    whole: impl Future<Output = Result<Bytes, BodyError>>,
) -> Result<Bytes, BodyError> {
    let late = BodyError::Refused(StatusCode::REQUEST_TIMEOUT, "the body took too long");
    tokio::time::timeout(timeout, whole)
        .await
        .unwrap_or(Err(late))
}

async fn collect(
    mut incoming: Incoming,
    bytes_max: usize,
    budget: &BodyBudget,
    read_bytes: &mut usize,
) -> Result<Bytes, BodyError> {
    // Of no use for more than a bound: a client may announce much, send nothing, and must not hold memory for it.
    let most = match incoming.size_hint().exact() {
        Some(length) => bytes_max.min(usize::try_from(length).unwrap_or(usize::MAX)),
        None => bytes_max,
    };
    let mut whole = Held::new(budget.clone());
    while let Some(frame) = incoming.frame().await {
        // Trailers are dropped; the guard has checked them.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        *read_bytes += data.len();
        if *read_bytes > bytes_max {
            return Err(BodyError::Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than this server takes",
            ));
        }
        whole.add(&data, most)?;
    }
    Ok(Bytes::from_owner(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_pays_for_all_the_memory_it_has_and_gives_it_back() {
        for (piece, most) in [
            (1, 1000),
            (7, 1000),
            (100, 1000),
            (1000, 1000),
            (3, 1 << 20),
        ] {
            let budget = BodyBudget::new(1 << 20);
            let mut held = Held::new(budget.clone());
            for _ in 0..1000 / piece {
                held.add(&vec![b'x'; piece], most).unwrap();
                assert_eq!(held.bytes.capacity(), held.share);
                assert_eq!(budget.used.load(Relaxed), held.share);
                assert!(held.share <= most);
            }
            assert!(held.share < 2 * held.bytes.len());
            drop(Bytes::from_owner(held));
            assert_eq!(budget.used.load(Relaxed), 0);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_allocated() {
        let budget = BodyBudget::new(100);
        let (mut first, mut second) = (Held::new(budget.clone()), Held::new(budget.clone()));
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
