//! Subcommands, where a configuration comes from, and what each exit status means.

use std::fs;
use std::path::Path;

use crate::common::command::{Run, daybook};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// `daybook config` in an empty directory with that environment, read back.
fn effective(environment: &[(&str, &str)]) -> toml::Table {
    let run = daybook(directory().path(), &["config"], environment);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    parse(&run)
}

fn parse(run: &Run) -> toml::Table {
    run.stdout
        .parse()
        .unwrap_or_else(|e| panic!("{e} in:\n{}", run.stdout))
}

/// Asserts that the configuration is refused, and that the first line has all of `words`.
fn is_wrong(dir: &Path, arguments: &[&str], environment: &[(&str, &str)], words: &[&str]) {
    let run = daybook(dir, arguments, environment);
    assert_eq!(run.code, Some(78), "{environment:?}: {}", run.stderr);
    for word in words {
        assert!(
            run.error_line().contains(word),
            "{word} is not in: {}",
            run.stderr
        );
    }
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["serve", "--nonsense"],
        &["serve", "too", "much"],
        &["config", "--config"],
        &["healthcheck", "--address"],
    ] {
        let run = daybook(directory().path(), arguments, &[]);
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stderr);
        assert!(
            !run.stderr.is_empty() && run.stdout.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn help_lists_the_subcommands() {
    let run = daybook(directory().path(), &["--help"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for subcommand in ["serve", "init", "healthcheck", "config"] {
        assert!(run.stdout.contains(subcommand), "{}", run.stdout);
        let run = daybook(directory().path(), &[subcommand, "--help"], &[]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains("--config"), "{}", run.stdout);
    }
}

#[test]
fn version_is_the_packages() {
    let run = daybook(directory().path(), &["--version"], &[]);
    assert_eq!(
        (run.code, run.stdout.trim()),
        (Some(0), concat!("daybook ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn the_default_configuration_is_the_file_in_the_repository() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("daybook.toml");
    // Whatever is configured, and however wrong it is.
    let run = daybook(
        directory().path(),
        &["config", "--default"],
        &[("DAYBOOK_RECORD", "perhaps")],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stdout == fs::read_to_string(file).expect("daybook.toml"),
        "{}",
        run.stdout
    );
}

#[test]
fn the_printed_configuration_loads_again() {
    let dir = directory();
    let environment = [
        (
            "DAYBOOK_LISTEN",
            r#"["127.0.0.1:8081", "unix:/run/x.sock", "fd:web"]"#,
        ),
        ("DAYBOOK_REPLICA", "7"),
        ("DAYBOOK_TRUSTED_PROXIES", r#"["10.0.0.0/8", "unix"]"#),
        ("DAYBOOK_HEALTH_PATH", ""),
        ("DAYBOOK_DATABASE__PATH", "/somewhere/else.db"),
        ("DAYBOOK_COMMIT__DEADLINE", "1500ms"),
        ("DAYBOOK_HTTP__BODY_BYTES_MAX", "12345"),
        ("DAYBOOK_RECORD", "false"),
    ];
    let first = daybook(dir.path(), &["config"], &environment);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    fs::write(dir.path().join("printed.toml"), &first.stdout).expect("writing");
    let second = daybook(dir.path(), &["config", "--config", "printed.toml"], &[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_eq!(second.stdout, first.stdout);
    let table = parse(&second);
    assert_eq!(
        table["database"]["path"].as_str(),
        Some("/somewhere/else.db")
    );
    assert_eq!(table["http"]["body_bytes_max"].as_integer(), Some(12345));
    assert_eq!(table["record"].as_bool(), Some(false));
    assert_eq!(table["health_path"].as_str(), Some(""));
}

#[test]
fn numbers_and_single_words_of_the_environment_become_texts_and_lists() {
    assert_eq!(
        effective(&[("DAYBOOK_REPLICA", "1")])["replica"].as_str(),
        Some("1")
    );
    assert_eq!(
        effective(&[("DAYBOOK_REPLICA", "true")])["replica"].as_str(),
        Some("true")
    );
    let proxies =
        effective(&[("DAYBOOK_TRUSTED_PROXIES", "10.0.0.0/8")])["trusted_proxies"].to_string();
    assert!(proxies.contains("10.0.0.0/8"), "{proxies}");
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let dir = directory();
    fs::write(
        dir.path().join("mine.toml"),
        "replica = \"file\"\n[commit]\nqueue_records_max = 7\n",
    )
    .expect("writing");
    let run = daybook(
        dir.path(),
        &["config", "--config", "mine.toml"],
        &[("DAYBOOK_REPLICA", "environment")],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let table = parse(&run);
    assert_eq!(table["replica"].as_str(), Some("environment"));
    assert_eq!(table["commit"]["queue_records_max"].as_integer(), Some(7));
    assert_eq!(
        table["commit"]["batch_records_max"].as_integer(),
        Some(1024)
    );
}

#[test]
fn the_file_is_found_by_flag_then_by_variable_then_in_the_directory() {
    let dir = directory();
    for name in ["flag", "variable", "daybook"] {
        fs::write(
            dir.path().join(format!("{name}.toml")),
            format!("replica = {name:?}\n"),
        )
        .expect("writing");
    }
    let replica = |arguments: &[&str], environment: &[(&str, &str)]| {
        let run = daybook(dir.path(), arguments, environment);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        parse(&run)["replica"].as_str().map(str::to_owned)
    };
    let variable = [("DAYBOOK_CONFIG", "variable.toml")];
    assert_eq!(
        replica(&["config", "--config", "flag.toml"], &variable).as_deref(),
        Some("flag")
    );
    assert_eq!(
        replica(&["--config", "flag.toml", "config"], &variable).as_deref(),
        Some("flag")
    );
    assert_eq!(replica(&["config"], &variable).as_deref(), Some("variable"));
    assert_eq!(replica(&["config"], &[]).as_deref(), Some("daybook"));
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let dir = directory();
    is_wrong(
        dir.path(),
        &["serve", "--config", "absent.toml"],
        &[],
        &["absent.toml"],
    );
    is_wrong(
        dir.path(),
        &["serve"],
        &[("DAYBOOK_CONFIG", "absent.toml")],
        &["absent.toml"],
    );
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_the_file() {
    for (text, word) in [
        ("nonsense = 1", "nonsense"),
        ("[database]\npaht = \"x\"", "paht"),
        ("[commit]\ndeadline = \"soon\"", "deadline"),
        ("[commit]\nqueue_records_max = 0", "queue_records_max"),
        ("[commit]\nqueue_records_max = -1", "queue_records_max"),
        ("[http]\nbody_bytes_max = \"1 parsec\"", "body_bytes_max"),
        ("[database]\nsynchronous = \"off\"", "synchronous"),
        ("[log]\nformat = \"xml\"", "format"),
        ("listen = \"nowhere\"", "listen"),
        ("listen = []", "listen"),
        ("trusted_proxies = [\"10.0.0.0/33\"]", "trusted_proxies"),
        ("health_path = \"healthz\"", "health_path"),
        ("record = 1", "record"),
        ("this is no TOML", "TOML"),
    ] {
        let dir = directory();
        fs::write(dir.path().join("wrong.toml"), text).expect("writing");
        for subcommand in ["serve", "init", "config"] {
            let error_line = daybook(dir.path(), &[subcommand, "--config", "wrong.toml"], &[]);
            assert_eq!(error_line.code, Some(78), "{text}: {}", error_line.stderr);
        }
        is_wrong(
            dir.path(),
            &["serve", "--config", "wrong.toml"],
            &[],
            &["wrong.toml"],
        );
        let all = daybook(dir.path(), &["serve", "--config", "wrong.toml"], &[]).stderr;
        assert!(all.contains(word), "{word} is not in: {all}");
        assert!(
            !dir.path().join("requests.db").exists(),
            "{text}: a database was created"
        );
    }
}

#[test]
fn what_is_wrong_in_the_environment_is_named_by_its_variable() {
    for (name, value) in [
        ("DAYBOOK_COMMIT__DEADLINE", "5 parsecs"),
        ("DAYBOOK_COMMIT__DEADLINE", "5"),
        ("DAYBOOK_HTTP__BODY_BYTES_MAX", "large"),
        ("DAYBOOK_LISTEN", "127.0.0.1"),
        ("DAYBOOK_ADMIN__LISTEN", "unix:"),
        ("DAYBOOK_TRUSTED_PROXIES", "everybody"),
        ("DAYBOOK_RECORD", "perhaps"),
        ("DAYBOOK_DATABASE__SYNCHRONOUS", "off"),
        ("DAYBOOK_NONSENSE", "1"),
        ("DAYBOOK_DATABASE__PAHT", "x"),
    ] {
        is_wrong(directory().path(), &["serve"], &[(name, value)], &[name]);
    }
}

#[test]
fn the_old_names_of_the_variables_of_compose_are_no_unknown_keys() {
    let others = [
        ("DAYBOOK_REPLICAS", "4"),
        ("DAYBOOK_NEXT_IMAGE", "localhost/daybook:next"),
        ("DAYBOOK_REPLICA", "a"),
    ];
    assert_eq!(effective(&others)["replica"].as_str(), Some("a"));
}
