//! The application's section of the configuration, from the command line to a handler.

use std::fs;

use axum::Router;
use axum::routing::get;
use daybook::{App, Context, Secret};
use serde::{Deserialize, Serialize};
use tempfile::tempdir;

use crate::common::command::{daybook, run};
use crate::common::in_process::InProcessServer;
use crate::common::program::application;

#[test]
fn a_mistake_in_the_section_is_reported_before_anything_is_created() {
    for (file, variable, place) in [
        (
            "[app]\nentries_per_page = 'x'",
            ("", ""),
            "daybook.toml:2: app.entries_per_page: \"x\" is not valid: write a whole number",
        ),
        (
            "app.mail.hots = 'x'",
            ("", ""),
            "daybook.toml:1: app.mail.hots: there is no such key: did you mean `app.mail.host`?",
        ),
        (
            "",
            ("DAYBOOK_APP__MAIL__HOTS", "x"),
            "DAYBOOK_APP__MAIL__HOTS: there is no such key: did you mean DAYBOOK_APP__MAIL__HOST?",
        ),
        (
            "",
            ("DAYBOOK_APP__MAIL__PASSWORD_FILE", "/nowhere/p"),
            "DAYBOOK_APP__MAIL__PASSWORD_FILE: cannot read \"/nowhere/p\"",
        ),
    ] {
        for (subcommand, code) in [
            ("serve", 78),
            ("init", 78),
            ("config", 78),
            ("healthcheck", 1),
        ] {
            let dir = tempdir().expect("a temporary directory");
            fs::write(dir.path().join("daybook.toml"), file).expect("writing the file");
            let run = run(application(), dir.path(), &[subcommand], &[variable]);
            assert_eq!(run.code, Some(code), "{subcommand}: {}", run.stderr);
            assert!(
                run.error_line().starts_with("guestbook: "),
                "{}",
                run.stderr
            );
            assert!(
                run.error_line().contains(place),
                "{subcommand}: {}",
                run.stderr
            );
            let files = fs::read_dir(dir.path()).expect("the directory").count();
            assert_eq!(files, 1, "{subcommand} has created a file");
        }
    }
}

#[test]
fn an_application_without_a_section_refuses_one() {
    let dir = tempdir().expect("a temporary directory");
    let run = daybook(dir.path(), &["serve"], &[("DAYBOOK_APP__TITLE", "x")]);
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    let expected = "daybook: DAYBOOK_APP__TITLE: there is no such key: this application has no settings of its own";
    assert_eq!(run.error_line(), expected);
}

#[test]
fn config_prints_the_section_without_its_secrets() {
    let dir = tempdir().expect("a temporary directory");
    let print = |arguments: &[&str], environment: &[(&str, &str)]| {
        let run = run(application(), dir.path(), arguments, environment);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let table = run.stdout.parse::<toml::Table>().expect("TOML");
        (run.stdout, table)
    };
    let environment = [
        ("DAYBOOK_APP__TITLE", "7"),
        ("DAYBOOK_APP__MAIL__PASSWORD", "hunter2"),
    ];
    let (text, table) = print(&["config"], &environment);
    assert_eq!(table["app"]["title"].as_str(), Some("7"));
    assert_eq!(table["app"]["mail"]["password"].as_str(), Some("***"));
    assert_eq!(table["database"]["path"].as_str(), Some("requests.db"));
    assert!(!text.contains("hunter2"), "{text}");

    let (defaults, table) = print(&["config", "--default"], &[]);
    assert_eq!(table["app"]["entries_per_page"].as_integer(), Some(20));
    assert_eq!(table["app"]["mail"]["host"].as_str(), Some("localhost"));
    assert!(defaults.contains("\n# password = \"***\"\n"), "{defaults}");
    // It is a file to begin with.
    fs::write(dir.path().join("daybook.toml"), &defaults).expect("writing the file");
    print(&["config"], &[]);
}

#[derive(Default, Deserialize, Serialize)]
struct Settings {
    title: String,
    password: Secret,
}

#[test]
fn a_handler_reads_the_section() {
    let show = async |context: Context| {
        let Settings { title, password } = context.config();
        format!("{title}, {}, {password:?}", password.expose())
    };
    let app = App::new("test", move |context| {
        assert_eq!(context.config::<Settings>().title, "Hello");
        Ok(Router::new().route("/", get(show)))
    });
    let keys = [("app.title", "Hello"), ("app.password", "hunter2")];
    let server = InProcessServer::start_app(app.config::<Settings>(), &keys);
    assert_eq!(server.get("/").text(), "Hello, hunter2, \"***\"");
}
