//! The writer's report for each entry of the queue.

use tokio::sync::oneshot;

use crate::rejected::Rejected;

/// The application's own writes. The writer runs them in the record's savepoint, with the record's id; `false` rolls both
/// back.
pub(crate) type WriteFn = Box<dyn FnOnce(&rusqlite::Savepoint<'_>, Option<i64>) -> bool + Send>;

/// The outcome of one entry of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Committed; with the record's id, if the entry had a record.
    Committed(Option<i64>),
    /// The handler's write failed. Nothing was written.
    Undone,
    /// Nothing was written.
    Rejected(Rejected),
}

/// The outcomes of one batch, each with the request that waits for it.
pub(super) type BatchOutcomes = Vec<(oneshot::Sender<Outcome>, Outcome)>;

/// Why there is no record id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    /// The record was not written.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It is not known whether the record was written, so there may be no response. Either a sync failed, and the
    /// process is about to exit, or a handler's write has committed the batch itself.
    #[error("it is not known whether the request was recorded")]
    Unknown,
}
