//! [`Failure`]: why a command ends without success.

/// For what a restart cannot cure (EX_CONFIG of sysexits.h).
const EXIT_CONFIG: u8 = 78;

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
}
