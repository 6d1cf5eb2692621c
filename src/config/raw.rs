//! The configuration as it is written: every value has its type, none has been judged.

use super::{
    Config,
    value::{Bytes, Count, Flag, List, RawDuration, Text},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub listen: List,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<Text>,
    pub trusted_proxies: List,
    pub record: Flag,
    pub health_path: Text,
    pub admin: RawAdmin,
    pub database: RawDatabase,
    pub commit: RawCommit,
    pub http: RawHttp,
    pub shutdown: RawShutdown,
    pub log: RawLog,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    pub listen: List,
    pub hosts: List,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDatabase {
    pub path: Text,
    pub create: Flag,
    pub synchronous: Text,
    pub busy_timeout: RawDuration,
    pub readers_max: Count,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCommit {
    pub queue_records_max: Count,
    pub batch_records_max: Count,
    pub deadline: RawDuration,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    pub line_bytes_max: Bytes,
    pub head_bytes_max: Bytes,
    pub fields_max: Count,
    pub body_bytes_max: Bytes,
    pub body_bytes_in_flight_max: Bytes,
    pub heads_bytes_in_flight_max: Bytes,
    pub header_timeout: RawDuration,
    pub body_timeout: RawDuration,
    pub idle_timeout: RawDuration,
    pub write_timeout: RawDuration,
    pub connections_max: Count,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShutdown {
    pub drain_delay: RawDuration,
    pub grace: RawDuration,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub format: Text,
    pub level: Text,
}

impl From<&Config> for RawConfig {
    fn from(config: &Config) -> Self {
        let listeners =
            |listen: &[super::Listen]| List(listen.iter().map(ToString::to_string).collect());
        let Config {
            database,
            commit,
            http,
            shutdown,
            log,
            ..
        } = config;
        Self {
            listen: listeners(&config.listen),
            replica: Some(Text(config.replica.clone())),
            trusted_proxies: List(config.trusted_proxies.entries()),
            record: Flag(config.record),
            health_path: Text(config.health_path.clone().unwrap_or_default()),
            admin: RawAdmin {
                listen: listeners(&config.admin_listen),
                hosts: List(config.admin_hosts.clone()),
            },
            database: RawDatabase {
                path: Text(database.path.to_string_lossy().into_owned()),
                create: Flag(database.create),
                synchronous: Text(database.synchronous.as_str().to_owned()),
                busy_timeout: RawDuration(database.busy_timeout),
                readers_max: Count(database.readers_max),
            },
            commit: RawCommit {
                queue_records_max: Count(commit.queue_records_max),
                batch_records_max: Count(commit.batch_records_max),
                deadline: RawDuration(commit.deadline),
            },
            http: RawHttp {
                line_bytes_max: Bytes(http.line_bytes_max),
                head_bytes_max: Bytes(http.head_bytes_max),
                fields_max: Count(http.fields_max),
                body_bytes_max: Bytes(http.body_bytes_max),
                body_bytes_in_flight_max: Bytes(http.body_bytes_in_flight_max),
                heads_bytes_in_flight_max: Bytes(http.heads_bytes_in_flight_max),
                header_timeout: RawDuration(http.header_timeout),
                body_timeout: RawDuration(http.body_timeout),
                idle_timeout: RawDuration(http.idle_timeout),
                write_timeout: RawDuration(http.write_timeout),
                connections_max: Count(http.connections_max),
            },
            shutdown: RawShutdown {
                drain_delay: RawDuration(shutdown.drain_delay),
                grace: RawDuration(shutdown.grace),
            },
            log: RawLog {
                format: Text(log.format.as_str().to_owned()),
                level: Text(log.level.as_str().to_owned()),
            },
        }
    }
}
