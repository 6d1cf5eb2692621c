//! [`Failure`]: why a command ends without success.

use crate::store::OpenError;

/// For what a restart cannot cure (EX_CONFIG of sysexits.h).
const EXIT_CONFIG: u8 = 78;
/// As clap's own.
const EXIT_USAGE: u8 = 2;

/// A message for a person, and an exit code for a supervisor.
pub(super) struct Failure {
    pub message: String,
    pub code: u8,
}

impl Failure {
    pub fn new(message: impl ToString, is_retryable: bool) -> Self {
        Self {
            message: message.to_string(),
            code: if is_retryable { 1 } else { EXIT_CONFIG },
        }
    }

    /// Wrong usage that clap cannot see.
    pub fn usage(message: impl ToString) -> Self {
        Self {
            message: message.to_string(),
            code: EXIT_USAGE,
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let is_retryable = error.is_retryable();
        Self::new(error, is_retryable)
    }
}
