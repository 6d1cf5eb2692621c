//! Logs: one event a line on standard error, text on a terminal and JSON elsewhere, always with the replica's name.

mod format;
mod storm;

use std::io::IsTerminal;

pub use storm::{log_storm, summarise_storms};

use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log, LogFormat};
use format::LineFormat;

/// Installs the log for the whole process.
pub fn init(log: &Log, replica: &str) {
    let is_json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(log.level))
        .with_writer(std::io::stderr)
        .event_format(LineFormat::new(is_json, replica))
        .finish();
    // Fails only where a test has installed one before.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
