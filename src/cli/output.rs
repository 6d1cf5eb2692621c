//! Standard output.

use std::io::Write;
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
