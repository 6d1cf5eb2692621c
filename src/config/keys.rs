//! Every configuration key: one struct per section, one field per key. The field's type says which values are valid.
//!
//! daybook.toml describes each key and holds its default. To add a key, add a field here and an entry there.

#![allow(missing_docs)] // daybook.toml describes the keys.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::LevelFilter;

use super::bounded::{BoundedDuration, BoundedNumber, YEAR};
use super::bytes_max::BytesMax;
use super::{AppConfig, Listen, TrustedProxies, listen, values};

/// A duration above zero.
pub type Timeout = BoundedDuration<1, YEAR>;
/// A duration that may be zero.
pub type Delay = BoundedDuration<0, YEAR>;
/// A record may be kept for up to a hundred years.
pub type Age = BoundedDuration<1, { 100 * YEAR }>;
/// SQLite takes whole milliseconds as a C `int`, so at most 24 days.
pub type BusyTimeout = BoundedDuration<1_000_000, { 24 * 24 * 60 * 60 }>;
/// The longest request target that a `Uri` of the `http` crate can hold.
const LINE_BYTES_MAX: usize = 65_534;
const HEAD_BYTES_MAX: usize = 65_535;
/// Room for one head of the maximum size: its buffers can grow to four times that.
const HEADS_BYTES_MIN: usize = 4 * (HEAD_BYTES_MAX + 1);
const BODY_BYTES_MAX: usize = u32::MAX as usize;
/// 1 TiB.
const BODY_DISK_BYTES_MAX: usize = 1 << 40;

/// The whole configuration. Every value in it is valid.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(deserialize_with = "listen::listeners")]
    pub listen: Vec<Listen>,
    /// `*` until the replica has its number. The default is the host name.
    #[serde(deserialize_with = "values::replica_name")]
    pub replica: String,
    pub trusted_proxies: TrustedProxies,
    #[serde(deserialize_with = "values::boolean")]
    pub record: bool,
    /// `None` is written as `""`.
    #[serde(with = "values::health_path")]
    pub health_path: Option<String>,
    pub admin: Admin,
    pub database: Database,
    pub commit: Commit,
    pub retention: Retention,
    pub http: Http,
    pub shutdown: Shutdown,
    pub log: Log,
    /// The application's own section, which its own type reads.
    #[serde(skip)]
    pub(crate) app: AppConfig,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    #[serde(deserialize_with = "listen::listeners")]
    pub listen: Vec<Listen>,
    /// In lower case.
    #[serde(deserialize_with = "values::host_names")]
    pub hosts: Vec<String>,
    /// Below the connections of the admin listeners, so that some are left.
    pub streams_max: BoundedNumber<1, 200>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    #[serde(deserialize_with = "values::database_path")]
    pub path: PathBuf,
    #[serde(deserialize_with = "values::boolean")]
    pub create: bool,
    #[serde(deserialize_with = "values::word")]
    pub synchronous: Synchronous,
    pub busy_timeout: BusyTimeout,
    pub readers_max: BoundedNumber<1, 64>,
    pub read_timeout: Timeout,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    pub queue_records_max: BoundedNumber<1>,
    pub batch_records_max: BoundedNumber<1>,
    pub deadline: Timeout,
}

/// `None` is written as `""`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    #[serde(with = "values::optional")]
    pub age: Option<Age>,
    #[serde(with = "values::optional")]
    pub bytes_max: Option<BytesMax>,
    pub protect: Delay,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub line_bytes_max: BoundedNumber<64, LINE_BYTES_MAX>,
    pub head_bytes_max: BoundedNumber<64, HEAD_BYTES_MAX>,
    pub fields_max: BoundedNumber<1, 10_000>,
    pub body_bytes_max: BoundedNumber<0, BODY_BYTES_MAX>,
    pub body_bytes_in_flight_max: BoundedNumber<1, BODY_BYTES_MAX>,
    pub body_disk_bytes_max: BoundedNumber<0, BODY_DISK_BYTES_MAX>,
    pub heads_bytes_in_flight_max: BoundedNumber<HEADS_BYTES_MIN, BODY_BYTES_MAX>,
    pub header_timeout: Timeout,
    pub body_timeout: Timeout,
    pub idle_timeout: Timeout,
    pub write_timeout: Timeout,
    pub connections_max: BoundedNumber<1>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    pub drain_delay: Delay,
    pub grace: Delay,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    #[serde(deserialize_with = "values::word")]
    pub format: LogFormat,
    #[serde(deserialize_with = "values::word")]
    pub level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    Full,
    Normal,
}

impl Synchronous {
    /// SQLite's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
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

/// Two keys whose values do not fit together.
pub(super) struct Conflict {
    pub keys: [&'static str; 2],
    pub message: String,
}

impl Config {
    /// Checks the rules that concern more than one key.
    pub(super) fn check_across_keys(&self) -> Result<(), Conflict> {
        let conflict = |keys, message| Err(Conflict { keys, message });
        let Self {
            admin,
            http,
            retention,
            ..
        } = self;

        let is_public = |listen: &&Listen| self.listen.iter().any(|other| listen.collides(other));
        if let Some(both) = admin.listen.iter().find(is_public) {
            let both = both.to_string();
            return conflict(
                ["admin.listen", "listen"],
                format!("{both:?} is in `listen` and in `admin.listen`: use different listeners"),
            );
        }
        let mut listeners = self.listen.iter().chain(&admin.listen);
        if self.replica == "*" && !listeners.any(Listen::is_numbered) {
            return conflict(
                ["replica", "listen"],
                "\"*\" is the replica's number, which needs a listener such as \"unix:/run/daybook/*.sock\"".to_owned(),
            );
        }
        for (whole_key, whole, part_key, part) in [
            (
                "http.head_bytes_max",
                http.head_bytes_max.get(),
                "http.line_bytes_max",
                http.line_bytes_max.get(),
            ),
            (
                "http.body_bytes_in_flight_max",
                http.body_bytes_in_flight_max.get(),
                "http.body_bytes_max",
                http.body_bytes_max.get(),
            ),
        ] {
            if whole < part {
                return conflict(
                    [whole_key, part_key],
                    format!("`{whole_key}` is {whole}: it must be at least `{part_key}`, {part}"),
                );
            }
        }
        if let Some(age) = retention.age
            && age.get() < retention.protect.get()
        {
            return conflict(
                ["retention.age", "retention.protect"],
                format!(
                    "`retention.age` is \"{age}\": it must be at least `retention.protect`, \"{}\"",
                    retention.protect
                ),
            );
        }
        Ok(())
    }
}
