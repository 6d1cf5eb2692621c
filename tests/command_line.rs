//! Subcommands, the sources of the configuration, and exit codes.

use std::fs;
use std::path::Path;

use crate::common::command::{Run, daybook};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn parse(run: &Run) -> toml::Table {
    run.stdout
        .parse()
        .unwrap_or_else(|e| panic!("{e} in:\n{}", run.stdout))
}

/// Asserts exit code 78, and that the first line of the error has all of `words`.
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
fn wrong_usage_exits_with_2() {
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
fn help_shows_each_subcommand_with_an_example_and_its_exit_codes() {
    let run = daybook(directory().path(), &["--help"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for subcommand in [
        "serve",
        "init",
        "healthcheck",
        "tail",
        "stats",
        "export",
        "config",
        "completions",
    ] {
        assert!(run.stdout.contains(subcommand), "{}", run.stdout);
        let run = daybook(directory().path(), &[subcommand, "--help"], &[]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        for part in ["--config", "Example", "Exit status:"] {
            assert!(run.stdout.contains(part), "{}", run.stdout);
        }
    }
}

#[test]
fn version_is_that_of_the_package() {
    let run = daybook(directory().path(), &["--version"], &[]);
    assert_eq!(
        (run.code, run.stdout.trim()),
        (Some(0), concat!("daybook ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn the_default_configuration_is_daybook_toml() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("daybook.toml");
    // An invalid configuration does not matter.
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
        ("DAYBOOK_TRUSTED_PROXIES", r#"["10.0.0.0/8", "unix"]"#),
        ("DAYBOOK_HTTP__BODY_BYTES_MAX", "12345"),
    ];
    let first = daybook(dir.path(), &["config"], &environment);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    fs::write(dir.path().join("printed.toml"), &first.stdout).expect("writing");
    let second = daybook(dir.path(), &["config", "--config", "printed.toml"], &[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_eq!(second.stdout, first.stdout);
    let table = parse(&second);
    assert_eq!(table["http"]["body_bytes_max"].as_integer(), Some(12345));
}

#[test]
fn the_file_is_the_flag_s_else_the_variable_s_else_the_one_here() {
    let dir = directory();
    for name in ["flag", "variable", "daybook"] {
        fs::write(
            dir.path().join(format!("{name}.toml")),
            format!("replica = {name:?}\n"),
        )
        .expect("writing");
    }
    let replica = |arguments: &[&str], variable: &str| {
        let run = daybook(dir.path(), arguments, &[("DAYBOOK_CONFIG", variable)]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        parse(&run)["replica"].as_str().map(str::to_owned)
    };
    for (arguments, variable, expected) in [
        (
            &["config", "--config", "flag.toml"][..],
            "variable.toml",
            "flag",
        ),
        (
            &["--config", "flag.toml", "config"],
            "variable.toml",
            "flag",
        ),
        (&["config"], "variable.toml", "variable"),
        (&["config"], "", "daybook"),
    ] {
        let found = replica(arguments, variable);
        assert_eq!(found.as_deref(), Some(expected), "{arguments:?} {variable}");
    }
}

#[test]
fn a_mistake_in_the_file_is_reported_before_anything_is_created() {
    for (text, place) in [
        (
            "\n[database]\npaht = \"x\"",
            "wrong.toml:3: database.paht: ",
        ),
        (
            "[commit]\ndeadline = \"soon\"",
            "wrong.toml:2: commit.deadline: ",
        ),
        ("this is no TOML", "wrong.toml:1: "),
    ] {
        let dir = directory();
        fs::write(dir.path().join("wrong.toml"), text).expect("writing");
        for subcommand in ["serve", "init", "config"] {
            let arguments = [subcommand, "--config", "wrong.toml"];
            is_wrong(dir.path(), &arguments, &[], &[place]);
        }
        let database = dir.path().join("requests.db");
        assert!(!database.exists(), "{text}: a database was created");
    }
}

#[test]
fn a_mistake_in_the_environment_is_reported_with_its_variable() {
    for (name, value) in [
        ("DAYBOOK_COMMIT__DEADLINE", "5"),
        ("DAYBOOK_DATABASE__PAHT", "x"),
    ] {
        is_wrong(directory().path(), &["serve"], &[(name, value)], &[name]);
    }
}

#[test]
fn a_long_error_is_printed_whole() {
    let name = "n".repeat(10_000);
    let environment = [("DAYBOOK_REPLICA", &*name)];
    is_wrong(directory().path(), &["config"], &environment, &[&name]);
}
