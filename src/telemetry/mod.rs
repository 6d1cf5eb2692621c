//! Logs: one event a line on standard error, text on a terminal and JSON elsewhere, always with the replica's name.

mod format;
mod output;
mod rate_limit;

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

pub use output::flush;
pub(crate) use output::lines_lost;
pub use rate_limit::{log_rate_limited, summarise_repeated};

use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log, LogFormat};
use format::LineFormat;

/// Says one line on standard error, outside of the log: what a command has to say to whoever started it.
pub fn say(line: &str) {
    output::write(format!("{line}\n").into_bytes());
}

/// Installs the log for the whole process; panics, handlers' and others, go to it as errors.
pub fn init(log: &Log, replica: &str) {
    let is_json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(log.level))
        .with_writer(|| output::Lines)
        // They would go to standard error directly, and panic where it fails.
        .log_internal_errors(false)
        .event_format(LineFormat::new(is_json, replica))
        .finish();
    // Fails only where a test has installed one before.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| {
        log_rate_limited("a panic", &describe(panic))
    }));
}

/// Where and what, in the log's one line.
fn describe(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(location) => format!("{location}: {message}"),
        None => message.to_owned(),
    }
}
