//! The configuration: read in layers, checked once, and relied on from then on.

mod bounds;
mod duration;
mod error;
mod keys;
mod listen;
mod load;
mod proxies;
mod raw;
#[cfg(test)]
mod tests;
mod validate;
mod value;

pub use error::{ConfigError, Origin};
pub use listen::Listen;
pub(crate) use listen::{NUMBER_MAX, UNIX_PATH_BYTES_MAX};
pub use load::{Loaded, load, load_from};
pub use proxies::TrustedProxies;

use std::{path::PathBuf, time::Duration};
use tracing_subscriber::filter::LevelFilter;

/// Every key with its default and what it is for. This is where the defaults come from.
pub const DEFAULT_TOML: &str = include_str!("../../daybook.toml");

/// A configuration that has been checked: whatever is in it can be used as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The public listeners, at least one.
    pub listen: Vec<Listen>,
    /// The operator's listeners, at least one, none of them public.
    pub admin_listen: Vec<Listen>,
    /// Names by which the operator's TCP listeners may be asked, in lower case, beside `localhost` and addresses.
    pub admin_hosts: Vec<String>,
    /// This replica's name, never empty; `*` for its number.
    pub replica: String,
    /// From whom X-Forwarded-For is believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether requests are recorded at all.
    pub record: bool,
    /// The public path that is not recorded, if there is one.
    pub health_path: Option<String>,
    /// The SQLite file.
    pub database: Database,
    /// The way into it.
    pub commit: Commit,
    /// Limits on what a client may send, and how slowly.
    pub http: Http,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// What is logged, and how.
    pub log: Log,
}

impl Config {
    /// Puts the replica's number wherever a `*` waits for it.
    pub(crate) fn set_number(&mut self, number: u8) {
        for listen in self.listen.iter_mut().chain(&mut self.admin_listen) {
            *listen = listen.with_number(number);
        }
        if self.replica.chars().eq([listen::NUMBER]) {
            self.replica = number.to_string();
        }
    }

    /// The configuration as TOML that loads back to the same.
    pub fn to_toml(&self) -> String {
        toml::to_string(&raw::RawConfig::from(self))
            .expect("texts, numbers and lists of texts can be written as TOML")
    }
}

/// The SQLite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is created when it is not there.
    pub create: bool,
    /// What an answered request survives.
    pub synchronous: Synchronous,
    /// How long to wait for a writer that does not know our lock; at most `i32::MAX` milliseconds.
    pub busy_timeout: Duration,
    /// Connections in the read pool, 1 to 64.
    pub readers_max: usize,
}

/// What an answered request survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// A power cut.
    Full,
    /// A crash of the process.
    Normal,
}

impl Synchronous {
    const ALL: [Self; 2] = [Self::Full, Self::Normal];

    /// The word of the configuration, which is also SQLite's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }
    }
}

/// How records get into the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Records that may wait, at least 1.
    pub queue_records_max: usize,
    /// Records in one transaction, at least 1.
    pub batch_records_max: usize,
    /// How long a record may wait for its transaction to begin; never zero.
    pub deadline: Duration,
}

/// Limits on what a client may send, and how slowly. No time-out is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Bytes of the request line, 64 to 65534.
    pub line_bytes_max: usize,
    /// Bytes of the whole head, from `line_bytes_max` to 65535.
    pub head_bytes_max: usize,
    /// Header fields in a head, 1 to 10000.
    pub fields_max: usize,
    /// Bytes of one body; 0 allows none.
    pub body_bytes_max: usize,
    /// Bytes of all bodies in memory together, at least `body_bytes_max`.
    pub body_bytes_in_flight_max: usize,
    /// Bytes of all heads in memory together, enough for one of the largest.
    pub heads_bytes_in_flight_max: usize,
    /// From accept or a head's first byte to the head's end.
    pub header_timeout: Duration,
    /// From a head's end to its body's end.
    pub body_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// For a client that does not read.
    pub write_timeout: Duration,
    /// Open public connections, at least 1.
    pub connections_max: usize,
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long to be unready and still accept; may be zero.
    pub drain_delay: Duration,
    /// How long open requests get after that; may be zero.
    pub grace: Duration,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least level that is logged.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// To be read.
    Text,
    /// One object a line.
    Json,
}

impl LogFormat {
    const ALL: [Self; 3] = [Self::Auto, Self::Text, Self::Json];

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// The least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what an operator has to act on.
    Error,
    /// Also what may become that.
    Warn,
    /// Also starts, stops and what else happens seldom.
    Info,
    /// Also what helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}
