//! A program whose application declares something wrong: it exits with 78 and a clear message, and changes no database.
//! `migrations` has the mistakes in a migration, and `config` more of those in the section `[app]`.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::common::command::{Run, run};
use crate::common::program::application;

fn run_in(directory: &Path, subcommand: &str, environment: &[(&str, &str)]) -> Run {
    let on_port_0 = [
        ("DAYBOOK_LISTEN", "127.0.0.1:0"),
        ("DAYBOOK_ADMIN__LISTEN", "127.0.0.1:0"),
    ];
    let environment: Vec<_> = on_port_0.iter().chain(environment).copied().collect();
    run(application(), directory, &[subcommand], &environment)
}

/// The names and contents of all files.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).expect("the directory");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("UTF-8");
            (name, fs::read(entry.path()).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

/// Asserts that these subcommands are refused with this last line on standard error: without a database, and beside one
/// that still lacks the application's migrations.
fn is_refused(subcommands: &[&str], environment: &[(&str, &str)], line: &str) {
    let new = tempdir().expect("a temporary directory");
    let used = tempdir().expect("a temporary directory");
    let init = run_in(used.path(), "init", &[("MIGRATIONS", "none")]);
    assert_eq!(init.code, Some(0), "{}", init.stderr);
    for directory in [new.path(), used.path()] {
        let before = files(directory);
        for subcommand in subcommands {
            let run = run_in(directory, subcommand, environment);
            assert_eq!(run.code, Some(78), "{subcommand}: {}", run.stderr);
            assert_eq!(run.stderr.lines().last(), Some(line), "{subcommand}");
            assert!(
                files(directory) == before,
                "{line}: {subcommand} has changed a file"
            );
        }
    }
}

#[test]
fn a_job_that_is_declared_wrongly_ends_the_program_with_78() {
    for (jobs, line) in [
        (
            "purge=03:00 purge=04:00",
            "guestbook: the application's job \"purge\": the application declares it twice: give one of them another name",
        ),
        (
            "daybook-purge=03:00",
            "guestbook: the application's job \"daybook-purge\": names that begin with \"daybook-\" are daybook's own: choose another name",
        ),
        (
            "Purge=03:00",
            "guestbook: the application's job \"Purge\": a name has 1 to 40 lower-case letters, digits and hyphens",
        ),
        (
            "purge=3",
            "guestbook: the application's job \"purge\": Schedule::daily(\"3\"): write a time of day in UTC from \"00:00\" to \"23:59\"",
        ),
    ] {
        is_refused(&["serve", "init"], &[("JOBS", jobs)], line);
    }
}

#[test]
fn a_wrong_key_of_the_application_ends_the_program_with_78() {
    let line =
        "guestbook: DAYBOOK_APP__TITEL: there is no such key: did you mean DAYBOOK_APP__TITLE?";
    is_refused(&["serve", "init"], &[("DAYBOOK_APP__TITEL", "x")], line);
}

#[test]
fn a_route_at_the_health_path_ends_the_program_with_78() {
    let line = "guestbook: health_path: \"/healthz\" is also a route of the application: give one of them another path";
    is_refused(&["serve", "init"], &[("ROUTE", "/healthz")], line);
}

#[test]
fn two_routes_at_one_path_end_the_program_with_78() {
    let line = "guestbook: the application's routes: Overlapping method route. Handler for `GET /` already exists";
    is_refused(&["serve", "init"], &[("ROUTE", "/")], line);
}
