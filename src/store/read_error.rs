//! [`ReadError`]: why a read has no result.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::telemetry::log_rate_limited;

/// Why a read has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The closure returned an error.
    #[error("{0}")]
    Closure(E),
    /// The read took longer than `database.read_timeout`, which is the value.
    #[error(
        "the read was stopped after `database.read_timeout`, {}: make it shorter, for example by an index or a limit",
        humantime::format_duration(*.0)
    )]
    TimedOut(Duration),
    /// No connection became free within `database.read_timeout`, which is the value.
    #[error(
        "no read connection became free within `database.read_timeout`, {}: shorten the other reads, or raise `database.readers_max`",
        humantime::format_duration(*.0)
    )]
    NoConnection(Duration),
    /// SQLite could not open a connection, or begin the read.
    #[error("the database cannot be read: {0}")]
    Sqlite(rusqlite::Error),
    /// The server has closed its read connections.
    #[error("the server is shutting down")]
    Closed,
    /// The function that makes the routes runs before the database is open.
    #[error(
        "the database is not open yet: use the store in handlers and jobs, not while the routes are made"
    )]
    NotOpen,
}

impl<E: std::fmt::Display> IntoResponse for ReadError<E> {
    fn into_response(self) -> Response {
        log_rate_limited("a handler's read failed", &self);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
