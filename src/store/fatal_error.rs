//! Errors that end the writer, and with it the process.

use std::io;
use std::path::PathBuf;

use super::file_identity::FileChange;

/// Why the process ends. Its supervisor starts it again, which is safer than a server that cannot record.
#[derive(Debug, thiserror::Error)]
pub enum FatalError {
    /// The sync of a commit failed: its rows may or may not survive a power failure.
    #[error(
        "the outcome of a commit of {records} records is unknown, so their connections are closed without a response: {source}"
    )]
    UnknownOutcome {
        /// How many requests get no response.
        records: usize,
        /// The error of SQLite or of the kernel.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite has found the file corrupt.
    #[error("the database is damaged ({0}): restore it from the backup")]
    Damaged(rusqlite::Error),
    /// The path of an open file now names another file, or none.
    #[error("{} {change} while daybook has it open; further writes to it would be lost", path.display())]
    FileChanged {
        /// The database, its WAL or its WAL-index.
        path: PathBuf,
        /// The reason.
        change: FileChange,
    },
    /// A transaction could be neither committed nor rolled back.
    #[error("a transaction could not be rolled back: {0}")]
    Rollback(rusqlite::Error),
    /// `flock` failed.
    #[error("the write lock could not be taken: {0}")]
    Lock(io::Error),
    /// The task that hands the outcomes to the requests has ended.
    #[error("the dispatcher has ended, so no outcome can reach its request")]
    DispatcherGone,
    /// A defect of daybook.
    #[error("the writer panicked: {0}")]
    Panic(String),
}

impl FatalError {
    pub(super) fn unknown_outcome(
        records: usize,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::UnknownOutcome {
            records,
            source: Box::new(error),
        }
    }

    /// Whether a restart on the same file can succeed.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Damaged(_))
    }
}
