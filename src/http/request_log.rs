//! The log line of a request, at `log.level = "debug"`: fields of its record, and the id that it has in HAProxy's log.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Response};
use tracing::Level;
use tracing::field::display;

use crate::http::responses::RECORD_ID;
use crate::store::{Record, RequestOutcome};

/// Whether requests have log lines.
pub fn is_on() -> bool {
    tracing::enabled!(Level::DEBUG)
}

/// The line's fields that are known before the handler runs.
pub struct RequestLog {
    method: Method,
    path: String,
    remote_addr: Option<IpAddr>,
    request_id: Option<String>,
}

impl RequestLog {
    /// None if requests have no log lines.
    pub fn new(record: &Record, headers: &HeaderMap) -> Option<Self> {
        is_on().then(|| Self {
            method: record.method.clone(),
            path: record.path.clone(),
            remote_addr: record.remote_addr,
            request_id: request_id(headers),
        })
    }

    /// Writes the line. A request without a row has no `id`, one without a response no `status`.
    pub fn write(self, result: &Result<Response<Body>, impl Display>, started: Instant) {
        let response = result.as_ref().ok();
        let id = response
            .and_then(|response| response.headers().get(RECORD_ID)?.to_str().ok())
            .and_then(|id| id.parse::<i64>().ok());
        // The row's duration: it ends before the commit.
        let duration = response
            .and_then(|response| response.extensions().get::<RequestOutcome>())
            .map_or_else(|| started.elapsed(), |outcome| outcome.duration);
        let remote_addr = self.remote_addr.map(display);
        let cause = result.as_ref().err().map(display);
        tracing::debug!(
            id,
            method = self.method.as_str(),
            path = self.path,
            remote_addr,
            status = response.map(|response| response.status().as_u16()),
            duration_us = duration.as_micros() as u64,
            request_id = self.request_id,
            cause,
            "request"
        );
    }
}

/// The id, if it is the only one and well-formed by HAProxy's rule (`haproxy/public.cfg`): a client that connects directly can
/// send anything.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let mut ids = headers.get_all("x-request-id").iter();
    let id = ids.next()?.to_str().ok()?;
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_well_formed = (8..=64).contains(&id.len()) && id.bytes().all(is_valid);
    (is_well_formed && ids.next().is_none()).then(|| id.to_owned())
}
