//! What becomes of an entry of the queue.

/// The application's own writes, run by the writer inside the record's savepoint; `false` undoes both.
pub(crate) type WriteFn = Box<dyn FnOnce(&rusqlite::Savepoint<'_>) -> bool + Send>;

/// What became of one entry of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// On disk; the id of the record, where the entry had one.
    Committed(Option<i64>),
    /// The application's work asked for it to be undone. Nothing was written.
    Undone,
    /// Nothing was written.
    Rejected(Rejected),
}

/// Why a record was not written. Its `Display` is the line that the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// `commit.queue_records_max` records wait.
    #[error("too many requests are waiting to be recorded")]
    QueueFull,
    /// Not begun within `commit.deadline`.
    #[error("the request could not be recorded in time")]
    Deadline,
    /// `http.body_bytes_in_flight_max` or `http.heads_bytes_in_flight_max` is used up.
    #[error("too many requests are held in memory")]
    Memory,
    /// SQLite refused.
    #[error("the request could not be recorded")]
    Storage,
    /// The grace period of a shutdown is over.
    #[error("the server is shutting down")]
    Draining,
}

impl Rejected {
    /// Every reason, for the metric to start at zero.
    pub const ALL: [Self; 5] = [
        Self::QueueFull,
        Self::Deadline,
        Self::Memory,
        Self::Storage,
        Self::Draining,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Storage => "storage",
            Self::Draining => "draining",
        }
    }
}

/// Why there is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The row was not written.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Whether the row was written is not known, so no answer may be given: a sync has failed, and the process is about to
    /// end; or another handler's write has committed the batch by itself.
    #[error("the outcome is not known")]
    Unknown,
}
