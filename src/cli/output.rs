//! Standard output.

use std::io::{self, Write};
use std::process::ExitCode;

use super::failure::Failure;

/// Reports success on standard output. A failed write is ignored, because the exit status reports the same.
pub(super) fn report(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints the command's result. If it cannot be written, the command has failed.
pub(super) fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    std::io::stdout()
        .write_all(text)
        .map_err(|error| Failure::new(format!("standard output: {error}"), true))?;
    Ok(ExitCode::SUCCESS)
}

/// The result of a write: the reader may have had enough, as `head` has.
pub(super) enum Written {
    All,
    ReaderGone,
}

/// Tells a reader that has gone, which is no failure, from an error.
pub(super) fn written(result: io::Result<()>, to: &str) -> Result<Written, Failure> {
    match result {
        Ok(()) => Ok(Written::All),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::ReaderGone),
        Err(error) => Err(Failure::new(format!("{to}: {error}"), true)),
    }
}
