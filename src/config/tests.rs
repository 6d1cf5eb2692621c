//! The configuration as a whole: layers and leniency.

mod mistakes;

use super::*;
use std::{fs, net::SocketAddr, path::Path};
use tempfile::TempDir;

/// Loads with `file` as ./daybook.toml, unless it is empty, and with `variables` set.
fn load_with(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = TempDir::new().unwrap();
    if !file.is_empty() {
        fs::write(directory.path().join("daybook.toml"), file).unwrap();
    }
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    load_from(None, variables, directory.path()).map(|loaded| loaded.config)
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
fn the_defaults_are_the_contract_s() {
    let config = from_file("replica = \"r\"");
    let seconds = Duration::from_secs;
    let expected = Config {
        listen: vec![tcp("127.0.0.1:8080")],
        admin_listen: vec![tcp("127.0.0.1:9100")],
        admin_hosts: Vec::new(),
        replica: "r".to_owned(),
        trusted_proxies: TrustedProxies::default(),
        record: true,
        health_path: Some("/healthz".to_owned()),
        database: Database {
            path: "requests.db".into(),
            create: true,
            synchronous: Synchronous::Full,
            busy_timeout: seconds(15),
            readers_max: 4,
        },
        commit: Commit {
            queue_records_max: 8192,
            batch_records_max: 1024,
            deadline: seconds(5),
        },
        http: Http {
            line_bytes_max: 8192,
            head_bytes_max: 32768,
            fields_max: 100,
            body_bytes_max: 1_048_576,
            body_bytes_in_flight_max: 67_108_864,
            heads_bytes_in_flight_max: 67_108_864,
            header_timeout: seconds(10),
            body_timeout: seconds(30),
            idle_timeout: seconds(75),
            write_timeout: seconds(30),
            connections_max: 10_000,
        },
        shutdown: Shutdown {
            drain_delay: seconds(0),
            grace: seconds(10),
        },
        log: Log {
            format: LogFormat::Auto,
            level: LogLevel::Info,
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn the_default_file_says_every_key_and_changes_nothing() {
    assert_eq!(from_file(DEFAULT_TOML), from_file(""));
    let written = from_file("").to_toml();
    let Ok(lines) = keys::lines(&written) else {
        panic!("{written}")
    };
    for key in keys::KNOWN.iter() {
        assert!(lines.contains_key(key), "{key} is no key of the code");
    }
    let Ok(in_file) = keys::lines(&DEFAULT_TOML.replace("# replica =", "replica =")) else {
        panic!()
    };
    for key in lines.keys() {
        assert!(
            in_file.contains_key(key),
            "{key} is missing in daybook.toml"
        );
    }
}

#[test]
fn the_host_gives_the_replica_its_name() {
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
    let expected = Commit {
        queue_records_max: 8192,
        batch_records_max: 7,
        deadline: Duration::from_secs(9),
    };
    assert_eq!(config.commit, expected);
}

#[test]
fn the_flag_names_the_file_before_the_variable_and_the_variable_before_the_one_here() {
    let directory = TempDir::new().unwrap();
    for name in ["daybook.toml", "variable.toml", "flag.toml"] {
        fs::write(directory.path().join(name), format!("replica = {name:?}")).unwrap();
    }
    let replica = |flag: Option<&str>, variable: Option<&str>| {
        let environment = variable.map(|name| ("DAYBOOK_CONFIG".into(), name.into()));
        let loaded = load_from(flag.map(Path::new), environment, directory.path()).unwrap();
        assert_eq!(
            loaded.file,
            Some(directory.path().join(&loaded.config.replica))
        );
        loaded.config.replica
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
            .fields_max,
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
        from_variable("DAYBOOK_ADMIN__LISTEN", "127.0.0.1:0").admin_listen,
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
    assert!(trusted("").entries().is_empty() && trusted("[]").entries().is_empty());
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
