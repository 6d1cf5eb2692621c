//! How a server ends: as it was told to, or by an error.

use tokio::sync::oneshot;
use tokio::task::JoinError;

use crate::http::listen::ListenError;
use crate::process::file_descriptors::TooFewDescriptors;
use crate::shutdown::Stop;
use crate::store::{FatalError, OpenError};

/// Why a server did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum ServeError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Fatal(#[from] FatalError),
    #[error("the writer is gone")]
    WriterGone,
    #[error("a listener is gone: {0}")]
    ListenerGone(JoinError),
}

impl ServeError {
    /// Whether another try with the same configuration and file could go better.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Open(error) => error.is_retryable(),
            Self::Listen(error) => error.is_retryable(),
            Self::Fatal(error) => error.is_retryable(),
            Self::Descriptors(_) => false,
            Self::Metrics(_) | Self::WriterGone | Self::ListenerGone(_) => true,
        }
    }
}

/// How a server that was told to stop has ended. Its `Display` is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// Before it listened: there was nothing to drain.
    NotStarted,
    /// Every request was answered, every record committed.
    Drained,
    /// The grace period was over before that.
    GraceExpired,
    /// A second signal came.
    Forced(Stop),
}

impl std::fmt::Display for StopOutcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::NotStarted => "before it had started",
            Self::Drained => "every request is answered and every record committed",
            Self::GraceExpired => "shutdown.grace was over before every request was answered",
            Self::Forced(_) => "at once, by a second signal",
        })
    }
}

/// Why the writer has ended without being asked to, or other than it was asked to.
pub fn why_writer_ended(
    ended: Result<Result<(), FatalError>, oneshot::error::RecvError>,
) -> ServeError {
    match ended {
        Ok(Err(fatal)) => fatal.into(),
        Ok(Ok(())) | Err(_) => ServeError::WriterGone,
    }
}
