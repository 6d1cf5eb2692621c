//! The whole configuration: which source wins, and in which forms a value may be written.

mod application;
mod mistakes;
mod secrets;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::keys::LogLevel;
use super::*;

/// Loads with `file` as ./daybook.toml, unless it is empty, and with `variables` set.
fn load_with(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = TempDir::new().unwrap();
    if !file.is_empty() {
        fs::write(directory.path().join("daybook.toml"), file).unwrap();
    }
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    load_from(None, variables, directory.path())
}

/// Loads for an application whose section has the type `T`, with `file` as ./daybook.toml, and beside it a file `secret` of
/// this text.
fn load_section<T>(
    file: &str,
    variables: &[(&str, &str)],
    secret: &str,
) -> Result<Config, ConfigError>
where
    T: DeserializeOwned + Serialize + Default + Send + Sync + 'static,
{
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("secret"), secret).unwrap();
    fs::write(directory.path().join("daybook.toml"), file).unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    let section = SectionType::of::<T>();
    load_for(
        "guestbook",
        Some(section),
        None,
        variables,
        directory.path(),
    )
}

fn from_file(file: &str) -> Config {
    load_with(file, &[]).unwrap()
}

fn from_variable(name: &str, value: &str) -> Config {
    load_with("", &[(name, value)]).unwrap()
}

fn tcp(address: &str) -> Listen {
    Listen::Tcp(address.parse::<SocketAddr>().unwrap())
}

#[test]
fn daybook_toml_holds_every_key_and_its_default() {
    // Without a default for each key it would not load; only the default of `replica` depends on the host.
    assert_eq!(from_file(DEFAULT_TOML), from_file(""));
    assert!(DEFAULT_TOML.contains("\n# replica = "));
}

#[test]
fn a_replica_without_a_name_has_the_host_s() {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    assert_eq!(from_file("").replica, host);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = "[commit]\ndeadline = \"7s\"\nbatch_records_max = 7";
    let config = load_with(file, &[("DAYBOOK_COMMIT__DEADLINE", "9s")]).unwrap();
    assert_eq!(config.commit.queue_records_max.get(), 8192);
    assert_eq!(config.commit.batch_records_max.get(), 7);
    assert_eq!(config.commit.deadline.get(), Duration::from_secs(9));
}

#[test]
fn a_string_may_be_a_bare_number_or_word() {
    let texts = "1 007 1e3 0x10 true [a] 10.0.0.0/8".split(' ');
    for text in texts.chain(["a b"]) {
        assert_eq!(from_variable("DAYBOOK_REPLICA", text).replica, text);
    }
    for text in ["1", "1.0", "true"] {
        assert_eq!(from_file(&format!("replica = {text}")).replica, text);
    }
    assert_eq!(from_variable("DAYBOOK_HEALTH_PATH", "").health_path, None);
}

#[test]
fn a_variable_s_text_takes_the_type_of_its_key() {
    assert!(!from_variable("DAYBOOK_RECORD", "false").record);
    let http = from_variable("DAYBOOK_HTTP__FIELDS_MAX", "12").http;
    assert_eq!(http.fields_max.get(), 12);
    let log = from_variable("DAYBOOK_LOG__LEVEL", "trace").log;
    assert_eq!(log.level, LogLevel::Trace);
    let database = from_variable("DAYBOOK_DATABASE__PATH", "1").database;
    assert_eq!(database.path, Path::new("1"));
}

#[test]
fn a_list_may_be_one_string_or_several() {
    let one = vec![tcp("[::1]:8080")];
    for list in ["'[::1]:8080'", "['[::1]:8080']"] {
        assert_eq!(from_file(&format!("listen = {list}")).listen, one);
    }
    assert_eq!(from_variable("DAYBOOK_LISTEN", "[::1]:8080").listen, one);

    let two = vec![tcp("[::1]:8080"), Listen::Unix("/run/x.sock".into())];
    let list = r#"["[::1]:8080", "unix:/run/x.sock"]"#;
    assert_eq!(from_file(&format!("listen = {list}")).listen, two);
    assert_eq!(from_variable("DAYBOOK_LISTEN", list).listen, two);

    let hosts = |list| from_variable("DAYBOOK_ADMIN__HOSTS", list).admin.hosts;
    assert_eq!(hosts("Replicas"), ["replicas"]);
    assert_eq!(hosts("[1, 'a']"), ["1", "a"]);
    assert!(hosts("").is_empty() && hosts("[]").is_empty());
}

#[test]
fn a_limit_for_all_may_equal_the_limit_for_one() {
    let http = from_file(
        "[http]\nline_bytes_max = 500\nhead_bytes_max = 500\nbody_bytes_max = 9\nbody_bytes_in_flight_max = 9",
    )
    .http;
    assert_eq!(http.head_bytes_max.get(), http.line_bytes_max.get());
    assert_eq!(
        http.body_bytes_in_flight_max.get(),
        http.body_bytes_max.get()
    );
}

#[test]
fn the_age_of_retention_may_equal_what_it_protects() {
    let retention = from_file("[retention]\nage = \"2d\"\nprotect = \"2d\"").retention;
    assert_eq!(
        retention.age.map(|age| age.get()),
        Some(retention.protect.get())
    );
}

#[test]
fn a_printed_configuration_loads_back_to_the_same() {
    let file = r#"
        listen = ["[::1]:0", "[::1]:0", "fd:a \"quoted\" name", "unix:/run/ü.sock"]
        replica = 'tab-free "quotes" and \ strokes'
        trusted_proxies = ["10.0.0.0/8", "::1", "unix"]
        record = false
        health_path = ""
        database = { path = "a'b.db", create = false, synchronous = "normal", busy_timeout = "1ms" }
        commit.deadline = "1h30m"
        retention = { age = "90d", bytes_max = "25%", protect = "0s" }
        http = { header_timeout = "1500us", body_bytes_max = 0 }
        log = { format = "json", level = "warn" }
    "#;
    for config in [from_file(file), from_file("")] {
        assert_eq!(from_file(&config.to_toml()), config);
    }
}
