//! From what was written to what the program can rely on.

use super::{
    Commit, Config, Database, Http, Listen, Log, LogFormat, LogLevel, Shutdown, Synchronous,
    TrustedProxies,
    bounds::{Checked, above_zero, at_least, bytes, count, one_of},
    error::Invalid,
    raw::{RawConfig, RawDatabase, RawHttp},
    value::{List, Text},
};
use std::time::Duration;

/// A request's target becomes a `Uri` of the `http` crate, which holds no more than this.
const LINE_BYTES_MAX: usize = 65_534;
const HEAD_BYTES_MAX: usize = 65_535;
/// What the largest head takes, with the room that buffers have grown for it.
const HEADS_BYTES_MIN: usize = 4 * (HEAD_BYTES_MAX + 1);
/// For counts without a bound of their own: enough for any machine, too little to overflow anything.
const COUNT_MAX: usize = 10_000_000;
const BODY_BYTES_MAX: usize = u32::MAX as usize;
const REPLICA_BYTES_MAX: usize = 128;
/// SQLite counts in whole milliseconds.
const BUSY_TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// SQLite takes its busy time-out as a C int of milliseconds.
const BUSY_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

pub(super) fn validate(raw: RawConfig) -> Checked<Config> {
    let listen = listeners("listen", &raw.listen, &[])?;
    let admin_listen = listeners("admin.listen", &raw.admin.listen, &listen)?;
    let replica = replica(raw.replica)?;
    let has_number = listen.iter().chain(&admin_listen).any(Listen::is_numbered);
    if replica == "*" && !has_number {
        let message = "\"*\" is this replica's number, and without a listener such as \"unix:/run/daybook/*.sock\" it has none";
        return Err(Invalid::new("replica", message));
    }
    Ok(Config {
        listen,
        admin_listen,
        admin_hosts: hosts(raw.admin.hosts)?,
        replica,
        trusted_proxies: TrustedProxies::parse(&raw.trusted_proxies.0)
            .map_err(|message| Invalid::new("trusted_proxies", message))?,
        record: raw.record.0,
        health_path: health_path(raw.health_path.0)?,
        database: database(raw.database)?,
        commit: Commit {
            queue_records_max: count(
                "commit.queue_records_max",
                &raw.commit.queue_records_max,
                1..=COUNT_MAX,
            )?,
            batch_records_max: count(
                "commit.batch_records_max",
                &raw.commit.batch_records_max,
                1..=COUNT_MAX,
            )?,
            deadline: above_zero("commit.deadline", &raw.commit.deadline)?,
        },
        http: http(&raw.http)?,
        shutdown: Shutdown {
            drain_delay: raw.shutdown.drain_delay.0,
            grace: raw.shutdown.grace.0,
        },
        log: Log {
            format: one_of(
                "log.format",
                &raw.log.format,
                &LogFormat::ALL,
                LogFormat::as_str,
            )?,
            level: one_of(
                "log.level",
                &raw.log.level,
                &LogLevel::ALL,
                LogLevel::as_str,
            )?,
        },
    })
}

/// `others` are the listeners that have been read already.
fn listeners(key: &str, List(texts): &List, others: &[Listen]) -> Checked<Vec<Listen>> {
    let mut listeners: Vec<Listen> = Vec::new();
    for text in texts {
        let listen: Listen = text
            .parse()
            .map_err(|message: String| Invalid::new(key, message))?;
        if listeners.iter().any(|other| listen.collides(other)) {
            return Err(Invalid::new(
                key,
                format!("{text:?} is there twice: name each listener once"),
            ));
        }
        if others.iter().any(|other| listen.collides(other)) {
            let message =
                format!("{text:?} is both in `listen` and in `admin.listen`: give each its own");
            return Err(Invalid {
                keys: vec![key.to_owned(), "listen".to_owned()],
                message,
            });
        }
        listeners.push(listen);
    }
    if listeners.is_empty() {
        return Err(Invalid::new(
            key,
            "the list is empty: name at least one listener, such as \"127.0.0.1:8080\"",
        ));
    }
    Ok(listeners)
}

fn hosts(List(names): List) -> Checked<Vec<String>> {
    let is_name = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !name.is_empty() && name.bytes().all(is_part)
    };
    match names.iter().find(|name| !is_name(name)) {
        None => Ok(names.iter().map(|name| name.to_ascii_lowercase()).collect()),
        Some(name) => Err(Invalid::new(
            "admin.hosts",
            format!("{name:?} is not a host's name: write it without a port, such as \"replicas\""),
        )),
    }
}

fn replica(configured: Option<Text>) -> Checked<String> {
    let by_host = || {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    };
    let name = configured.map_or_else(by_host, |text| text.0);
    let printable = !name.chars().any(char::is_control) && !name.trim().is_empty();
    if !printable || name.len() > REPLICA_BYTES_MAX {
        let message = format!(
            "{name:?} is not a name: write 1 to {REPLICA_BYTES_MAX} bytes of printable text, such as \"1\""
        );
        return Err(Invalid::new("replica", message));
    }
    Ok(name)
}

fn health_path(path: String) -> Checked<Option<String>> {
    if path.is_empty() {
        return Ok(None);
    }
    if !path.starts_with('/')
        || !path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
    {
        let message = format!(
            "{path:?} is not a path: write it as a request would, beginning with / and without spaces, ? or #, such as \
             \"/healthz\", or \"\" for none"
        );
        return Err(Invalid::new("health_path", message));
    }
    Ok(Some(path))
}

fn database(raw: RawDatabase) -> Checked<Database> {
    let path = raw.path.0;
    // To SQLite these two are no files: what is written there is gone, or is somewhere else.
    if path.is_empty() || path.contains('\0') || path == ":memory:" || path.starts_with("file:") {
        let message = format!(
            "{path:?} is not a file: write a path, such as \"/var/lib/daybook/requests.db\""
        );
        return Err(Invalid::new("database.path", message));
    }
    let busy_timeout = raw.busy_timeout.0;
    if busy_timeout < BUSY_TIMEOUT_MIN {
        return Err(Invalid::new(
            "database.busy_timeout",
            "this is too short: 1ms is the least, for the writer tries again when it is over",
        ));
    }
    if busy_timeout > BUSY_TIMEOUT_MAX {
        return Err(Invalid::new(
            "database.busy_timeout",
            "this is too long: 24d is the most",
        ));
    }
    Ok(Database {
        path: path.into(),
        create: raw.create.0,
        synchronous: one_of(
            "database.synchronous",
            &raw.synchronous,
            &Synchronous::ALL,
            Synchronous::as_str,
        )?,
        busy_timeout,
        readers_max: count("database.readers_max", &raw.readers_max, 1..=64)?,
    })
}

fn http(raw: &RawHttp) -> Checked<Http> {
    let http = Http {
        line_bytes_max: bytes(
            "http.line_bytes_max",
            &raw.line_bytes_max,
            64..=LINE_BYTES_MAX,
        )?,
        head_bytes_max: bytes(
            "http.head_bytes_max",
            &raw.head_bytes_max,
            64..=HEAD_BYTES_MAX,
        )?,
        fields_max: count("http.fields_max", &raw.fields_max, 1..=10_000)?,
        body_bytes_max: bytes(
            "http.body_bytes_max",
            &raw.body_bytes_max,
            0..=BODY_BYTES_MAX,
        )?,
        body_bytes_in_flight_max: bytes(
            "http.body_bytes_in_flight_max",
            &raw.body_bytes_in_flight_max,
            1..=BODY_BYTES_MAX,
        )?,
        heads_bytes_in_flight_max: bytes(
            "http.heads_bytes_in_flight_max",
            &raw.heads_bytes_in_flight_max,
            HEADS_BYTES_MIN..=BODY_BYTES_MAX,
        )?,
        header_timeout: above_zero("http.header_timeout", &raw.header_timeout)?,
        body_timeout: above_zero("http.body_timeout", &raw.body_timeout)?,
        idle_timeout: above_zero("http.idle_timeout", &raw.idle_timeout)?,
        write_timeout: above_zero("http.write_timeout", &raw.write_timeout)?,
        connections_max: count("http.connections_max", &raw.connections_max, 1..=COUNT_MAX)?,
    };
    let head = ("http.head_bytes_max", http.head_bytes_max);
    at_least(head, ("http.line_bytes_max", http.line_bytes_max))?;
    let in_flight = (
        "http.body_bytes_in_flight_max",
        http.body_bytes_in_flight_max,
    );
    at_least(in_flight, ("http.body_bytes_max", http.body_bytes_max))?;
    Ok(http)
}
