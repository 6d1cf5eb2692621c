//! Why the writer, and with it the process, cannot go on.

use std::io;
use std::path::PathBuf;

pub use super::same_file::Change;

/// The process ends: its supervisor starts it again, which is safer than a server that cannot record.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The sync of a commit failed: whether its rows will be there after a power cut, nobody knows.
    #[error(
        "the outcome of a commit of {records} records is unknown, so they are not answered: {source}"
    )]
    UnknownOutcome {
        /// How many requests were left without an answer.
        records: usize,
        /// What SQLite, or the kernel, said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite has found the file damaged.
    #[error("the database is damaged ({0}): restore it from the backup")]
    Damaged(rusqlite::Error),
    /// A path names another file than the one that is open, or none.
    #[error("{} {change} while daybook has it open: what is written there would be lost", path.display())]
    Replaced {
        /// The database, its log or its index.
        path: PathBuf,
        /// What has become of it.
        change: Change,
    },
    /// A transaction could neither be committed nor rolled back.
    #[error("a transaction could not be rolled back: {0}")]
    Rollback(rusqlite::Error),
    /// `flock` itself failed.
    #[error("the write lock: {0}")]
    Lock(io::Error),
    /// The task that wakes the requests is gone.
    #[error("nobody takes the outcomes any more")]
    NobodyAnswers,
    /// A defect of ours.
    #[error("the writer panicked: {0}")]
    Panic(String),
}

impl Fatal {
    /// Whether another start with the same file could go better.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Damaged(_))
    }
}
