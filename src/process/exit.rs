//! How a server ends: with an error, or as a stop signal asked for.

use std::io;

use tokio::sync::oneshot;
use tokio::task::JoinError;

use crate::app::RoutesError;
use crate::http::listen::ListenError;
use crate::jobs::JobError;
use crate::process::file_descriptors::TooFewDescriptors;
use crate::shutdown::StopSignal;
use crate::store::{FatalError, OpenError};

/// Why a server did not start, or ended without a stop signal.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum ServeError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    #[error(transparent)]
    Routes(#[from] RoutesError),
    #[error("the application's {0}")]
    Job(#[from] JobError),
    #[error("the jobs' thread cannot be started: {0}")]
    JobsThread(io::Error),
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Fatal(#[from] FatalError),
    #[error("the writer thread ended unexpectedly")]
    WriterGone,
    #[error("an accept loop ended unexpectedly: {0}")]
    ListenerGone(JoinError),
}

impl ServeError {
    /// Whether a restart with the same configuration and database could succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Open(error) => error.is_retryable(),
            Self::Listen(error) => error.is_retryable(),
            Self::Fatal(error) => error.is_retryable(),
            Self::Descriptors(_) | Self::Routes(_) | Self::Job(_) => false,
            Self::JobsThread(_) | Self::Metrics(_) | Self::WriterGone | Self::ListenerGone(_) => {
                true
            }
        }
    }
}

/// How a server ended after a stop signal. `Display` is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The signal came before the database was open.
    NotStarted,
    /// Every request got its response, every job has ended, and every record is committed.
    Drained,
    /// `shutdown.grace` ended first.
    GraceExpired,
    /// A second signal came.
    Forced(StopSignal),
}

impl std::fmt::Display for StopOutcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::NotStarted => "before the database was open",
            Self::Drained => "every request has its response and every record is committed",
            Self::GraceExpired => {
                "shutdown.grace ended before every request had its response and every job had ended"
            }
            Self::Forced(_) => "at once, by a second signal",
        })
    }
}

/// The error of a writer that ended unexpectedly.
pub fn writer_error(
    result: Result<Result<(), FatalError>, oneshot::error::RecvError>,
) -> ServeError {
    match result {
        Ok(Err(fatal)) => fatal.into(),
        Ok(Ok(())) | Err(_) => ServeError::WriterGone,
    }
}
