//! The guard: a thin layer around the socket that checks the head and the chunk framing of every HTTP/1.1 request
//! before hyper sees a byte of it.
//!
//! Some of what a strict server must refuse cannot be seen behind hyper: it joins equal Content-Lengths, drops a
//! Content-Length beside a Transfer-Encoding, ends a head at a bare LF, strips fragments. So the guard reads first. It
//! hands on one message at a time, never a byte of the next before hyper has asked for it, and it never answers by
//! itself: in place of a refused head hyper gets a harmless request that asks to close, and the service finds the
//! verdict in the [`ConnectionState`]. So one path records and answers everything, in pipeline order.
//!
//! From the bottom up: `class`, `list`, `target`, `fields`, `expect` and `facts` check the parts of a head, `extensions` what
//! stands behind a chunk's size, `head` and `chunked` find where a head and a body end, `framing` puts them in sequence (all
//! pure: bytes in, steps out), `stream` does the reading and the time-outs, `write` the writing and the lingering close,
//! `heads` keeps the memory of all connections' heads in bounds.
//!
//! hyper must be run with `half_close(true)` (or it reads on while a request is served), without a timer, with
//! `max_headers` at least [`Limits::fields_max`], and with a `max_buf_size` above [`Limits::head_bytes_max`].

mod byte_class;
mod chunked;
mod connection_state;
mod expect;
mod extensions;
mod fields;
mod framing;
mod framing_headers;
mod head;
mod heads;
mod list;
mod stream;
mod target;
mod write;

#[cfg(test)]
mod field_table_tests;
#[cfg(test)]
mod hyper_tests;
#[cfg(test)]
mod line_table_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod table_tests;

use std::time::Duration;

use hyper::{HeaderMap, Method, StatusCode};

pub use connection_state::ConnectionState;
pub use heads::HeadBudget;
pub use stream::{Gone, Guard};

use crate::config::Http;

/// What a client may send, and how long it may take. Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The request line, and the line before each chunk, without their CRLF.
    pub line_bytes_max: usize,
    /// The whole head, and all trailers together, with their last CRLF.
    pub head_bytes_max: usize,
    /// Field lines in a head, and in the trailers.
    pub fields_max: usize,
    /// The largest Content-Length. A chunked body is measured by whoever reads it.
    pub body_bytes_max: usize,
    /// From accept, or from a later head's first byte, to the head's end.
    pub header_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// For a client that takes nothing of its answer.
    pub write_timeout: Duration,
    /// Once the connection was told to close: for a head to be complete, and again for the lingering close.
    pub closing_timeout: Duration,
}

/// What [`Limits::closing_timeout`] is, unless the grace period is short. Long enough for a request that was on its way
/// when the shutdown began, over any network.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

impl Limits {
    /// As configured. `grace` is `shutdown.grace`: a connection without a whole head is gone, its lingering included,
    /// when half of that is over, so that no client can use it up by sending one byte.
    pub fn new(http: &Http, grace: Duration) -> Self {
        Self {
            line_bytes_max: http.line_bytes_max.get(),
            head_bytes_max: http.head_bytes_max.get(),
            fields_max: http.fields_max.get(),
            body_bytes_max: http.body_bytes_max.get(),
            header_timeout: http.header_timeout.get(),
            idle_timeout: http.idle_timeout.get(),
            write_timeout: http.write_timeout.get(),
            closing_timeout: CLOSING_TIMEOUT.min(grace / 4),
        }
    }
}

/// A request that must be answered with an error, after which the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The answer's.
    pub status: StatusCode,
    /// One line for the client; it never holds bytes of the request.
    pub reason: &'static str,
    /// What to record; `None` where method and target are not well formed, or the head was never complete.
    /// Always `None` in a refused body: the service knows its request.
    pub request: Option<RefusedRequest>,
}

impl Refusal {
    /// Whether the memory for heads is used up: no fault of this request, which leaves no row.
    pub fn is_for_memory(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

/// The part of a refused request that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequest {
    /// The method.
    pub method: Method,
    /// As sent, still percent-encoded, without the query.
    pub path: String,
    /// The X-Forwarded-For lines that were complete when the verdict fell; nothing else. Where it fell within the head,
    /// what comes behind that byte is not among them: a CONNECT or a strange version is refused before any field.
    pub forwarded_for: HeaderMap,
}

/// Why the guard closed a connection without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// A head took too long to begin.
    HeaderTimeout,
    /// No further request came.
    IdleTimeout,
    /// The client took nothing of its answer.
    WriteTimeout,
    /// It was idle, and had kept memory for a large head that others needed.
    Memory,
}

impl CloseReason {
    /// Every reason, for the metric to start at zero.
    pub const ALL: [Self; 4] = [
        Self::HeaderTimeout,
        Self::IdleTimeout,
        Self::WriteTimeout,
        Self::Memory,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Memory => "memory",
        }
    }
}

/// What is wrong, before it is known whether the request is to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    status: StatusCode,
    reason: &'static str,
}

impl Fault {
    const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// 400.
    const fn bad(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    const TOO_MANY_FIELDS: Self = Self::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "too many header fields",
    );
    const FIELDS_TOO_LONG: Self = Self::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "the head or the trailers are too long",
    );
}
