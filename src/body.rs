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

/// A share of the budget, given back when dropped.
struct Share {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl BodyBudget {
    /// `max` is `http.body_bytes_in_flight_max`.
    pub fn new(max: usize) -> Self {
        Self {
            used: Arc::default(),
            max,
        }
    }

    fn share(&self) -> Share {
        Share {
            used: self.used.clone(),
            bytes: 0,
        }
    }
}

impl Share {
    /// Adds to the share, unless that goes beyond `max` for all of them.
    fn grow(&mut self, bytes: usize, max: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= max);
        let grown = self.used.fetch_update(Relaxed, Relaxed, fits).is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// A body's bytes together with their share of the budget: both end when the last reference does, an echo's
/// answer included.
struct Held<T> {
    bytes: T,
    _share: Share,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
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
    let expected = incoming.size_hint().exact();
    let mut share = budget.share();
    let mut whole = Vec::new();
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
        if !share.grow(data.len(), budget.max) {
            return Err(BodyError::Memory);
        }
        if whole.is_empty() && expected == Some(data.len() as u64) {
            // The common small body came in one piece: no copy.
            return Ok(Bytes::from_owner(Held {
                bytes: data,
                _share: share,
            }));
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from_owner(Held {
        bytes: whole,
        _share: share,
    }))
}
