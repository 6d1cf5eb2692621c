//! The log: one event a line on standard error, text on a terminal and JSON elsewhere, with the replica's name.

mod format;
mod output;
mod rate_limit;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

pub use output::flush;
pub(crate) use output::lines_lost;
pub(crate) use rate_limit::{log_rate_limited, summarise_repeated};

use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log, LogFormat};
use crate::panic_message;
use format::LineFormat;

/// Prints one line on standard error, without the log's format: a command's message to the person who runs it.
pub fn print_error(line: &str) {
    output::write(format!("{line}\n").into_bytes());
}

/// Installs the log for the process, and a panic hook that logs every panic as an error.
pub fn init(log: &Log, replica: &str) {
    let is_json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(log.level))
        .with_writer(|| output::LogWriter)
        // These would use eprintln!, which panics when standard error fails.
        .log_internal_errors(false)
        .event_format(LineFormat::new(is_json, replica))
        .finish();
    // Fails only in a test that installed a subscriber before.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| {
        if !IS_EXPECTED.get() {
            log_rate_limited("a panic", &describe_panic(panic));
        }
    }));
}

thread_local! {
    /// Whether [`catch_panic`] reports this thread's panic.
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `call`. If it panics, returns the message, which is not logged.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    IS_EXPECTED.set(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    IS_EXPECTED.set(false);
    result.map_err(|panic| panic_message(&*panic))
}

fn describe_panic(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(location) => format!("{location}: {message}"),
        None => message.to_owned(),
    }
}
