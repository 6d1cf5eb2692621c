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

/// What is taken from the budget, until this is dropped.
pub struct Share {
    bytes: usize,
    budget: BodyBudget,
}

impl Share {
    fn grow_to(&mut self, bytes: usize) -> Result<(), BodyError> {
        if !self.budget.take(bytes - self.bytes) {
            return Err(BodyError::Memory);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// A body that is being read, together with its share of the budget, which is all the memory it has, used or not.
struct BodyBuffer {
    bytes: Vec<u8>,
    share: Share,
}

impl BodyBuffer {
    fn new(budget: BodyBudget) -> Self {
        Self {
            bytes: Vec::new(),
            share: Share { bytes: 0, budget },
        }
    }

    /// Adds a copy of `data`: it is a piece of the connection's buffer, which would stay in memory with it, whole and
    /// uncounted. `most` is what the body can come to.
    fn add(&mut self, data: &[u8], most: usize) -> Result<(), BodyError> {
        let wanted = self.bytes.len() + data.len();
        if wanted > self.share.bytes {
            // Doubled, or a body in many pieces would be moved once for each; and paid for before it is there.
            let room = wanted.max(most.min(self.share.bytes * 2));
            self.share.grow_to(room)?;
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

/// A body that was read. Its share ends with the last reference to the body, an echo's answer included, and to the share.
struct Read {
    bytes: Vec<u8>,
    _share: Arc<Share>,
}

impl AsRef<[u8]> for Read {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A whole body.
#[derive(Default)]
pub struct BufferedBody {
    pub bytes: Bytes,
    /// To be kept until the request is answered: an extractor such as `String` copies the body and drops it, and the copy
    /// may wait in the writer's queue. None for an empty body.
    pub share: Option<Arc<Share>>,
}

impl From<BodyBuffer> for BufferedBody {
    fn from(BodyBuffer { bytes, share }: BodyBuffer) -> Self {
        let share = Arc::new(share);
        let _share = share.clone();
        Self {
            bytes: Bytes::from_owner(Read { bytes, _share }),
            share: Some(share),
        }
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
) -> (u64, Result<BufferedBody, BodyError>) {
    if incoming.is_end_stream() {
        return (0, Ok(BufferedBody::default()));
    }
    let mut read_bytes = 0;
    let whole = collect(
        incoming,
        limits.body_bytes_max.get(),
        budget,
        &mut read_bytes,
    );
    let result = within(limits.body_timeout.get(), whole).await;
    (read_bytes as u64, result)
}

async fn within(
    timeout: Duration,
    whole: impl Future<Output = Result<BufferedBody, BodyError>>,
) -> Result<BufferedBody, BodyError> {
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
) -> Result<BufferedBody, BodyError> {
    // Of no use for more than a bound: a client may announce much, send nothing, and must not hold memory for it.
    let most = match incoming.size_hint().exact() {
        Some(length) => bytes_max.min(usize::try_from(length).unwrap_or(usize::MAX)),
        None => bytes_max,
    };
    let mut held = BodyBuffer::new(budget.clone());
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
        held.add(&data, most)?;
    }
    Ok(held.into())
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
            let mut held = BodyBuffer::new(budget.clone());
            let mut moves = 0;
            for _ in 0..1000 / piece {
                let paid = held.share.bytes;
                held.add(&vec![b'x'; piece], most).unwrap();
                moves += usize::from(held.share.bytes != paid);
                assert_eq!(held.bytes.capacity(), held.share.bytes);
                assert_eq!(budget.used.load(Relaxed), held.share.bytes);
                assert!(held.share.bytes <= most);
            }
            assert!(moves <= 11, "moved {moves} times");
            let paid = held.share.bytes;
            assert!(paid < 2 * held.bytes.len());
            let BufferedBody { bytes, share } = held.into();
            // A copy may be left of either.
            drop(bytes.clone());
            drop(share);
            assert_eq!(budget.used.load(Relaxed), paid);
            drop(bytes);
            assert_eq!(budget.used.load(Relaxed), 0);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_allocated() {
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
