//! A write of the application: its closure runs on the writer's thread, and its result returns to the caller.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rusqlite::Savepoint;

use super::handle::Store;
use super::outcome::{AppendError, Outcome, WriteFn};
use crate::rejected::Rejected;
use crate::telemetry::log_rate_limited;

/// Why a write wrote nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The closure returned an error, and its changes were rolled back. The request is still recorded.
    #[error("{0}")]
    Undone(E),
    /// The body of a [streamed](crate::streamed_body) request has not been read to its end, so its record is not complete.
    #[error("the request's body has not been read to its end: read it before the write")]
    BodyUnfinished,
    /// Nothing was written, for example because the store is overloaded. If the request's record was rejected with the
    /// write, the client gets 503, whatever the handler responds: without a row there is no other response.
    #[error("nothing was written: {0}")]
    Rejected(Rejected),
    /// It is not known whether the changes were committed: a sync failed, and the process is about to exit, or a closure
    /// has ended the transaction. If the request's record shares this outcome, the client gets no response.
    #[error("it is not known whether the changes were committed")]
    Unknown,
    /// The function that makes the routes runs before the database is open.
    #[error(
        "the database is not open yet: use the store in handlers and jobs, not while the routes are made"
    )]
    NotOpen,
}

impl<E> From<AppendError> for WriteError<E> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Rejected(reason) => Self::Rejected(reason),
            AppendError::Unknown => Self::Unknown,
        }
    }
}

impl<E: std::fmt::Display> IntoResponse for WriteError<E> {
    fn into_response(self) -> Response {
        log_rate_limited("a handler's write failed", &self);
        // Not 503, which means that there is no row: an earlier write of the request may have carried its record.
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

/// The result of a closure that the writer runs.
pub(crate) struct WriteResult<T, E>(mpsc::Receiver<thread::Result<Result<T, E>>>);

/// Splits a closure into what the writer runs, and what its caller takes the result from. The closure's second argument is
/// the id of the record in the same queue entry.
pub(crate) fn split<T, E>(
    write: impl FnOnce(&Savepoint<'_>, Option<i64>) -> Result<T, E> + Send + 'static,
) -> (WriteFn, WriteResult<T, E>)
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (sender, result) = mpsc::sync_channel(1);
    let write_fn: WriteFn = Box::new(move |savepoint, record_id| {
        let result = catch_unwind(AssertUnwindSafe(|| write(savepoint, record_id)));
        let has_succeeded = matches!(result, Ok(Ok(_)));
        let _ = sender.send(result);
        has_succeeded
    });
    (write_fn, WriteResult(result))
}

impl<T, E> WriteResult<T, E> {
    /// The result, once the outcome of the queue entry is [`Outcome::Committed`] or [`Outcome::Undone`].
    ///
    /// # Panics
    /// If the closure has panicked: the panic continues here.
    pub fn take(self) -> Result<T, WriteError<E>> {
        match self.0.try_recv() {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => Err(WriteError::Undone(error)),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(WriteError::Unknown),
        }
    }
}

impl Store {
    /// Runs `write` on the writer's thread, in a savepoint without a record, and returns once it is committed and, at
    /// `full`, synced.
    ///
    /// # Panics
    /// If `write` panics.
    pub async fn write<T, E>(
        &self,
        write: impl FnOnce(&Savepoint<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (write_fn, result) = split(move |savepoint, _| write(savepoint));
        let outcome = self
            .submit(None, Some(write_fn))
            .map_err(WriteError::Rejected)?;
        match outcome.await {
            Ok(Outcome::Committed(_) | Outcome::Undone) => result.take(),
            Ok(Outcome::Rejected(reason)) => Err(WriteError::Rejected(reason)),
            Err(_) => Err(WriteError::Unknown),
        }
    }
}
