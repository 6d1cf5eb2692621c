//! The configuration as a whole: layers and leniency.

mod mistakes;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

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
fn daybook_toml_holds_the_defaults() {
    assert_eq!(from_file(DEFAULT_TOML), from_file(""));
    let written: toml::Table = from_file("").to_toml().parse().unwrap();
    let documented = DEFAULT_TOML.replace("# replica =", "replica =");
    let documented: toml::Table = documented.parse().unwrap();
    for (key, value) in &written {
        let section = value.as_table().into_iter().flatten();
        let keys = section.map(|(name, _)| (key, name));
        assert!(documented.contains_key(key), "{key} is not in daybook.toml");
        for (section, name) in keys {
            let documented = documented[section].as_table().unwrap();
            assert!(documented.contains_key(name), "{section}.{name}");
        }
    }
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
fn the_flag_names_the_file_before_the_variable_and_the_variable_before_the_one_here() {
    let directory = TempDir::new().unwrap();
    for name in ["daybook.toml", "variable.toml", "flag.toml"] {
        fs::write(directory.path().join(name), format!("replica = {name:?}")).unwrap();
    }
    let replica = |flag: Option<&str>, variable: Option<&str>| {
        let environment = variable.map(|name| ("DAYBOOK_CONFIG".into(), name.into()));
        let config = load_from(flag.map(Path::new), environment, directory.path());
        config.unwrap().replica
    };
    assert_eq!(
        replica(Some("flag.toml"), Some("variable.toml")),
        "flag.toml"
    );
    assert_eq!(replica(None, Some("variable.toml")), "variable.toml");
    assert_eq!(replica(None, Some("")), "daybook.toml");
    assert_eq!(replica(None, None), "daybook.toml");
}

#[test]
fn a_text_may_be_a_bare_number_or_word() {
    for text in [
        "1",
        "007",
        "1e3",
        "0x10",
        "true",
        "[a]",
        "10.0.0.0/8",
        "a b",
    ] {
        assert_eq!(from_variable("DAYBOOK_REPLICA", text).replica, text);
    }
    assert_eq!(from_file("replica = 1").replica, "1");
    assert_eq!(from_file("replica = true").replica, "true");
    assert_eq!(from_variable("DAYBOOK_HEALTH_PATH", "").health_path, None);
}

#[test]
fn the_environment_s_text_becomes_what_the_key_wants() {
    assert!(!from_variable("DAYBOOK_RECORD", "false").record);
    assert_eq!(
        from_variable("DAYBOOK_HTTP__FIELDS_MAX", "12")
            .http
            .fields_max
            .get(),
        12
    );
    assert_eq!(
        from_variable("DAYBOOK_LOG__LEVEL", "trace").log.level,
        LogLevel::Trace
    );
    assert_eq!(
        from_variable("DAYBOOK_DATABASE__PATH", "1").database.path,
        Path::new("1")
    );
}

#[test]
fn a_list_may_be_one_text_or_several() {
    let one = vec![tcp("[::1]:8080")];
    let two = vec![tcp("[::1]:8080"), Listen::Unix("/run/x.sock".into())];
    assert_eq!(from_variable("DAYBOOK_LISTEN", "[::1]:8080").listen, one);
    assert_eq!(from_file("listen = '[::1]:8080'").listen, one);
    assert_eq!(from_file("listen = ['[::1]:8080']").listen, one);
    assert_eq!(
        from_variable("DAYBOOK_LISTEN", "[\"[::1]:8080\",\"unix:/run/x.sock\"]").listen,
        two
    );
    assert_eq!(
        from_file("listen = ['[::1]:8080', 'unix:/run/x.sock']").listen,
        two
    );
    assert_eq!(
        from_variable("DAYBOOK_ADMIN__LISTEN", "127.0.0.1:0")
            .admin
            .listen,
        [tcp("127.0.0.1:0")]
    );

    let trusted = |text| from_variable("DAYBOOK_TRUSTED_PROXIES", text).trusted_proxies;
    assert_eq!(
        trusted("10.0.0.0/8"),
        TrustedProxies::parse(&["10.0.0.0/8"]).unwrap()
    );
    assert_eq!(
        trusted("[\"::1\", \"unix\"]"),
        TrustedProxies::parse(&["::1", "unix"]).unwrap()
    );
    for empty in ["", "[]"] {
        assert_eq!(trusted(empty), TrustedProxies::default());
    }
}

#[test]
fn what_is_printed_loads_back_to_the_same() {
    let file = r#"
        listen = ["[::1]:0", "[::1]:0", "fd:a \"quoted\" name", "unix:/run/ü.sock"]
        replica = 'tab-free "quotes" and \ strokes'
        trusted_proxies = ["10.0.0.0/8", "::1", "unix"]
        record = false
        health_path = ""
        database = { path = "a'b.db", create = false, synchronous = "normal", busy_timeout = "1ms" }
        commit.deadline = "1h30m"
        http = { header_timeout = "1500us", body_bytes_max = 0 }
        log = { format = "json", level = "warn" }
    "#;
    for config in [from_file(file), from_file("")] {
        assert_eq!(from_file(&config.to_toml()), config);
    }
}
