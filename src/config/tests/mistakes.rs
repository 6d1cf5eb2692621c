//! Each mistake has an error that says where it is and what would be right.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::super::*;
use super::load_with;

#[test]
fn an_invalid_value_is_reported_with_its_place_and_a_valid_one() {
    const CASES: &[(&str, &str, &str)] = &[
        ("listen", "'localhost:80'", "ADDR:PORT"),
        ("listen", "8080", "ADDR:PORT"),
        ("listen", "[]", "at least one"),
        ("listen", "['fd:a', 'fd:a']", "twice"),
        ("listen", "'[a, b]'", r#"["a", "b"]"#),
        ("listen", "'127.0.0.1:9100'", "`admin.listen`"),
        ("admin.listen", "'127.0.0.1:8080'", "`listen`"),
        ("admin.listen", "'unix:'", "unix:PATH"),
        (
            "listen",
            "'unix:/run/*/*.sock'",
            "write one * in the file name",
        ),
        ("admin.listen", "''", "at least one"),
        ("replica", "''", "printable text"),
        ("replica", "'*'", "unix:/run/daybook/*.sock"),
        ("replica", "\"a\\tb\"", "printable text"),
        ("trusted_proxies", "'10.0.0.1/8'", "10.0.0.0/8"),
        ("trusted_proxies", "['::1', 'proxy']", "\"10.0.0.0/8\""),
        ("record", "'yes'", "true or false"),
        ("health_path", "'healthz'", "begin with /"),
        ("health_path", "'/a?b'", "begin with /"),
        ("database.path", "''", "write a path"),
        ("database.path", "':memory:'", "write a path"),
        ("admin.hosts", "'a:1'", "without a port"),
        ("database.create", "1", "true or false"),
        ("database.synchronous", "'off'", "\"full\", \"normal\""),
        ("database.busy_timeout", "'25d'", "24d"),
        ("database.busy_timeout", "'999us'", "1ms"),
        ("database.readers_max", "65", "1 to 64"),
        ("database.read_timeout", "'0s'", "above \"0s\""),
        ("commit.queue_records_max", "0", "from 1"),
        ("commit.batch_records_max", "-1", "whole number"),
        (
            "commit.deadline",
            "5",
            r#"a number with a unit, such as "5s", "200ms" or "15m""#,
        ),
        ("commit.deadline", "'0s'", "above \"0s\""),
        ("retention.age", "90", "such as \"90s\""),
        ("retention.age", "'40000d'", "up to \"36500d\""),
        (
            "retention.age",
            "'59m'",
            "`retention.age` is \"59m\": it must be at least `retention.protect`, \"1h\"",
        ),
        ("retention.bytes_max", "'25 %'", "\"1%\" to \"100%\""),
        ("retention.bytes_max", "'101%'", "\"1%\" to \"100%\""),
        ("retention.bytes_max", "'3 days'", "a whole number of bytes"),
        ("retention.bytes_max", "1000", "from 1048576"),
        ("retention.protect", "''", "a number with a unit"),
        ("http.line_bytes_max", "65535", "64 to 65534"),
        (
            "http.line_bytes_max",
            "40000",
            "`http.head_bytes_max` is 32768",
        ),
        ("http.head_bytes_max", "8191", "`http.line_bytes_max`, 8192"),
        ("http.fields_max", "1.5", "whole number"),
        ("http.body_bytes_max", "'1MiB'", "without a unit"),
        (
            "http.body_bytes_in_flight_max",
            "1000",
            "`http.body_bytes_max`",
        ),
        ("http.heads_bytes_in_flight_max", "262143", "262144 to"),
        ("http.header_timeout", "'ten'", "\"200ms\""),
        ("http.body_timeout", "0", "\"0s\""),
        ("http.idle_timeout", "'366d'", "365d"),
        ("http.write_timeout", "'0ms'", "above \"0s\""),
        ("http.connections_max", "0", "from 1"),
        ("shutdown.drain_delay", "'-1s'", "a number with a unit"),
        ("shutdown.grace", "true", "a number with a unit"),
        ("log.format", "'xml'", "\"auto\", \"text\", \"json\""),
        ("log.level", "'INFO'", "\"info\""),
    ];
    for (key, value, right) in CASES {
        let message = load_with(&format!("# one\n# two\n{key} = {value}"), &[])
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(&format!("/daybook.toml:3: {key}: ")),
            "{message}"
        );
        assert!(
            message.contains(right) && !message.contains('\n'),
            "{message}"
        );

        let name = format!("DAYBOOK_{}", key.replace('.', "__").to_uppercase());
        let value = value
            .trim_matches('\'')
            .replace("\"a\\tb\"", "a\tb")
            .replace('\'', "\"");
        let message = load_with("", &[(&name, &value)]).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{name}: ")), "{message}");
        assert!(
            message.contains(right) && !message.contains('\n'),
            "{message}"
        );
    }
}

#[test]
fn an_invalid_file_is_reported_with_its_line() {
    for (file, line, right) in [
        ("\nlisten = ", ":2: ", "this is not TOML"),
        ("record = true\nrecord = true", ":2: ", "this is not TOML"),
        (
            "[commit]\ndeadlin = '5s'",
            ":2: commit.deadlin: ",
            "did you mean `commit.deadline`?",
        ),
        (
            "\n\ndeadline = '5s'",
            ":3: deadline: ",
            "did you mean `commit.deadline`?",
        ),
        (
            "[commits]\ndeadline = '5s'",
            ":1: commits: ",
            "did you mean `commit`?",
        ),
        ("[htp]\nfields_max = 5", ":1: htp: ", "did you mean `http`?"),
        (
            "colour = 'red'",
            ":1: colour: ",
            "`daybook config --default`",
        ),
        ("record.x = 1", ":1: record", "there is no such key"),
        ("[record]", ":1: record: ", "one value"),
        ("[[listen]]", ":1: listen: ", "one value"),
        ("http = 5", ":1: http: ", "write [http]"),
        ("log.level = ['a']", ":1: log.level: ", "one value"),
        ("\nreplica = 2026-11-23", ":2: ", "in quotes"),
        (
            "trusted_proxies = [2026-11-23]",
            ":1: trusted_proxies: ",
            "one value",
        ),
    ] {
        let message = load_with(file, &[]).unwrap_err().to_string();
        assert!(
            message.contains(&format!("/daybook.toml{line}")),
            "{message}"
        );
        assert!(
            message.contains(right) && !message.contains('\n'),
            "{message}"
        );
    }
}

#[test]
fn an_unknown_variable_is_reported_with_its_name() {
    for (name, right) in [
        ("DAYBOOK_FOO", "`daybook config --default`"),
        (
            "DAYBOOK_COMMIT_DEADLINE",
            "did you mean DAYBOOK_COMMIT__DEADLINE?",
        ),
        ("DAYBOOK_DEADLINE", "did you mean DAYBOOK_COMMIT__DEADLINE?"),
        ("DAYBOOK_Replica", "did you mean DAYBOOK_REPLICA?"),
        ("DAYBOOK_HTTP", "no such key"),
        ("DAYBOOK_", "no such key"),
    ] {
        let message = load_with("", &[(name, "1")]).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{name}: ")) && message.contains(right),
            "{message}"
        );
    }
    let not_the_programs = [
        "DAYBOOKS",
        "daybook_foo",
        "DAYBOOK_REPLICAS",
        "DAYBOOK_NEXT_IMAGE",
    ];
    let not_the_programs = not_the_programs.map(|name| (name, "1"));
    assert!(load_with("", &not_the_programs).is_ok());
}

#[test]
fn a_variable_that_overrides_the_file_is_reported() {
    let error = load_with("log.level = 'info'", &[("DAYBOOK_LOG__LEVEL", "loud")]).unwrap_err();
    assert_eq!(error.origin, "DAYBOOK_LOG__LEVEL");
}

#[test]
fn a_variable_that_is_not_utf_8_is_reported() {
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let load = |name, value| load_from(None, [(name, value)], Path::new("/nonexistent"));
    assert!(load(bytes(b"OTHER\xff"), bytes(b"\xff")).is_ok());
    let message = load(bytes(b"DAYBOOK_REPLICA"), bytes(b"a\xff"))
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("DAYBOOK_REPLICA: ") && message.contains("UTF-8"),
        "{message}"
    );
    assert!(
        load(bytes(b"DAYBOOK_\xff"), bytes(b"1"))
            .unwrap_err()
            .to_string()
            .starts_with("DAYBOOK_")
    );
}

#[test]
fn a_missing_file_is_reported_with_the_option_or_variable_that_named_it() {
    let missing = Path::new("missing.toml");
    let variable = ("DAYBOOK_CONFIG".into(), missing.into());
    for (flag, variable, origin) in [
        (Some(missing), None, "--config: "),
        (None, Some(variable), "DAYBOOK_CONFIG: "),
    ] {
        let message = load_from(flag, variable, Path::new("/nonexistent"))
            .unwrap_err()
            .to_string();
        assert!(message.starts_with(origin), "{message}");
        assert!(
            message.contains("/nonexistent/missing.toml") && message.contains("No such file"),
            "{message}"
        );
    }
}
