//! The guard: a thin layer around the socket that checks the head and the chunk framing of every HTTP/1.1 request before
//! hyper reads them. The bytes of a body with a Content-Length, and the data within chunks, pass unchecked.
//!
//! hyper hides defects for which a strict server must refuse a request. It joins equal Content-Lengths, drops a
//! Content-Length next to a Transfer-Encoding, ends a head at a bare LF, and strips fragments. So the guard reads first.
//! It forwards one message at a time, and no byte of the next before hyper asks for it.
//!
//! The guard never responds itself. In place of a refused head hyper gets a placeholder, a harmless request that asks to
//! close, and the service finds the refusal in the [`ConnectionState`]. So the same code records and responds to every
//! request, in pipeline order.
//!
//! - `byte_class`, `list`, `target`, `fields`, `expect` and `framing_headers` check the parts of a head;
//!   `request_line` and `head` find where it ends.
//! - `chunk_extensions` and `chunked` check the framing of a chunked body; `size_line` rewrites the chunk size lines.
//! - `framing` puts messages in sequence. All of these are pure: bytes in, actions out.
//! - `stream` is the guarded socket, `read` and `write` its two directions, `linger` its close.
//! - `head_budget` bounds the memory of all connections' heads, `head_memory` is one connection's part of it.
//!
//! hyper must run with `half_close(true)` (otherwise it reads on while a request is served), without a timer, with
//! `max_headers` of at least [`Limits::fields_max`], and with a `max_buf_size` above [`Limits::head_bytes_max`].

mod byte_class;
mod chunk_extensions;
mod chunked;
mod connection_state;
mod expect;
mod fields;
mod framing;
mod framing_headers;
mod head;
mod head_budget;
mod head_memory;
mod linger;
mod list;
mod read;
mod request_line;
mod size_line;
mod stream;
mod target;
#[cfg(test)]
mod tests;
mod write;

use std::time::Duration;

use hyper::{HeaderMap, Method, StatusCode};

pub use connection_state::{ConnectionState, RequestStart};
pub use head_budget::HeadBudget;
pub use stream::{DropSignal, Guard};

use crate::config::Http;

/// Limits on what a client may send and how long it may take. Sizes are in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the request line and for each chunk size line, without CRLF.
    pub line_bytes_max: usize,
    /// For the whole head, and for all trailers together, with the last CRLF. At most 65,535: hyper supports no longer
    /// target or field name.
    pub head_bytes_max: usize,
    /// The most field lines in a head, and in the trailers.
    pub fields_max: usize,
    /// From accept, or from the first byte of a later head, to the end of the head.
    pub header_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// For a client that reads nothing of its response.
    pub write_timeout: Duration,
    /// Once the server closes connections: for a head to be complete, and again for the lingering close.
    pub closing_timeout: Duration,
}

/// [`Limits::closing_timeout`], unless the grace period is short. Long enough, over any network, for a request that was on
/// its way when the shutdown began.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

impl Limits {
    /// As configured. `grace` is `shutdown.grace`: a connection without a complete head has closed, and lingered, within
    /// half of it. So no client can use up the grace period by sending one byte.
    pub fn new(http: &Http, grace: Duration) -> Self {
        Self {
            line_bytes_max: http.line_bytes_max.get(),
            head_bytes_max: http.head_bytes_max.get(),
            fields_max: http.fields_max.get(),
            header_timeout: http.header_timeout.get(),
            idle_timeout: http.idle_timeout.get(),
            write_timeout: http.write_timeout.get(),
            closing_timeout: CLOSING_TIMEOUT.min(grace / 4),
        }
    }
}

/// A request to which the response is an error, after which the connection closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of the response.
    pub status: StatusCode,
    /// One line for the client. It never contains bytes of the request.
    pub reason: &'static str,
    /// The request to record. `None` if method or target are malformed, or if the head is incomplete. Always `None` for a refused
    /// body: the service has its request.
    pub request: Option<RefusedRequest>,
}

impl Refusal {
    /// Whether the memory for heads is used up. Such a request is not recorded.
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
    /// The lines of X-Forwarded-For and X-Request-ID, and nothing else, that were complete when the request was refused. A
    /// CONNECT or an unsupported version is refused before any field is read.
    pub headers: HeaderMap,
}

/// A request's defect, before it is known whether the request is recorded.
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
    const fn bad_request(reason: &'static str) -> Self {
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
