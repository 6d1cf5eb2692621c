//! Why a request was not recorded: the reason in its 503, and a label in the metrics.

/// Why a request, or a write of the application ([`WriteError::Rejected`](crate::WriteError::Rejected)), was not written to
/// the database. Its `Display` is the body of daybook's 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// The queue is full: `commit.queue_records_max` records and writes are waiting.
    #[error("too many requests are waiting to be recorded")]
    QueueFull,
    /// Its transaction had not begun within `commit.deadline`.
    #[error("the request could not be recorded in time")]
    Deadline,
    /// `http.body_bytes_in_flight_max` or `http.heads_bytes_in_flight_max` is used up. No write is rejected for this.
    #[error("too many requests are held in memory")]
    Memory,
    /// SQLite reported an error.
    #[error("the request could not be recorded")]
    Storage,
    /// The grace period of a shutdown is over.
    #[error("the server is shutting down")]
    Draining,
}

impl Rejected {
    /// Every reason; the metric has each of them from the start.
    pub(crate) const ALL: [Self; 5] = [
        Self::QueueFull,
        Self::Deadline,
        Self::Memory,
        Self::Storage,
        Self::Draining,
    ];

    /// The label `reason` of the metric.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Storage => "storage",
            Self::Draining => "draining",
        }
    }
}
