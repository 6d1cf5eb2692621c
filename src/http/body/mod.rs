//! A request's body, which the router reads: whole by default, or as a stream.
//!
//! The limit and the form of a body are its route's ([`body_limit`], [`streamed_body`]), and layers that daybook adds are
//! outside of a route's own. So the recorder reads nothing. It gives each request a [`RequestBody`], which these layers
//! change on the way in, and whose first poll applies them. A refusal stays in it, and the recorder sends that in place
//! of what the handler returned.
//!
//! - [`request_body`] is what they share, and [`state`] reads. [`handler_body`] is what an extractor gets.
//! - [`layers`] has the two layers.
//! - [`buffer`] holds whole bodies, in [`memory`] or on [`disk`]; [`budget`] counts their bytes.

mod budget;
mod buffer;
mod disk;
mod handler_body;
mod layers;
mod memory;
mod request_body;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::StatusCode;
use budget::Budget;
pub use layers::{BodyLayer, BodyService, body_limit, streamed_body};
pub(crate) use request_body::RequestBody;

use crate::config::Http;

/// The limits and budgets that all request bodies of the process share.
pub struct Bodies {
    memory: Budget,
    disk: Budget,
    /// `http.body_bytes_max`: a larger whole body goes to a temporary file. Also the limit of a route without its own.
    memory_bytes_max: u64,
    /// `http.body_disk_bytes_max`.
    disk_bytes_max: u64,
    /// `http.body_timeout`.
    idle_timeout: Duration,
    /// Of the temporary files.
    directory: PathBuf,
}

impl Bodies {
    /// Temporary files lie beside the database.
    pub fn new(http: &Http, database: &Path) -> Self {
        let disk_bytes_max = http.body_disk_bytes_max.get() as u64;
        Self {
            memory: Budget::new(http.body_bytes_in_flight_max.get() as u64),
            disk: Budget::new(disk_bytes_max),
            memory_bytes_max: http.body_bytes_max.get() as u64,
            disk_bytes_max,
            idle_timeout: http.body_timeout.get(),
            directory: database.parent().unwrap_or(Path::new(".")).to_owned(),
        }
    }
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// The client disconnected, or the guard refused the body's framing.
    #[error("the client disconnected, or the body's framing is malformed")]
    Broken,
    #[error("the body is larger than this server accepts")]
    TooLarge,
    /// No byte arrived for `http.body_timeout`.
    #[error("the body took too long")]
    TimedOut,
    /// `http.body_bytes_in_flight_max` or `http.body_disk_bytes_max` is used up.
    #[error("too many request bodies are held in memory or on disk")]
    Memory,
    /// The temporary file cannot be written.
    #[error("the body cannot be stored")]
    Storage,
}

impl BodyError {
    /// Of the response, if the client still reads one.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Memory | Self::Storage => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
