//! The log's format, and which events it has how often.

use std::process::Command;
use std::time::Duration;

use crate::common::locks::WriteLock;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

#[test]
fn every_line_is_json_with_the_replicas_name() {
    let mut server = Server::start();
    assert_eq!(server.get("/").status, 200);
    server.signal("TERM");
    server.wait_exit(TIMEOUT);
    let log = server.log();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!(line["replica"], "test");
        assert!(
            line["timestamp"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z'))
        );
        assert!(line["level"].is_string() && line["message"].is_string());
    }
}

#[test]
fn requests_are_not_logged() {
    let mut server = Server::start();
    for _ in 0..50 {
        assert_eq!(server.get("/quiet").status, 200);
    }
    // A log line may come after the response.
    server.signal("TERM");
    server.wait_exit(TIMEOUT);
    let log = server.log();
    let after_the_start = log.split_once(r#""message":"ready""#).expect("the start").1;
    let messages: Vec<serde_json::Value> = after_the_start
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line)["message"].take())
        .collect();
    assert_eq!(messages, ["stopping", "stopped"], "{log}");
    assert!(log.contains(r#""signal":"SIGTERM""#), "{log}");
    assert!(log.contains("committed"), "how it has ended: {log}");
}

#[test]
fn a_repeated_error_is_logged_once_and_then_counted() {
    let server = Server::with(|c| {
        c.text("commit.deadline", "500ms");
    });
    let lock = WriteLock::take(server.database_path());
    for _ in 0..5 {
        assert_eq!(server.get("/").status, 503);
    }
    let lines = |what: &str| {
        server
            .log()
            .lines()
            .filter(|line| line.contains(what))
            .count()
    };
    let cause = format!("process {} has held the write lock", std::process::id());
    eventually("the first is logged, with its cause", TIMEOUT, || {
        server.log().contains(&cause)
    });
    eventually(
        "the repetitions are counted",
        Duration::from_secs(30),
        || lines("records expired in the queue, repeatedly") == 1,
    );
    assert_eq!(
        lines("\"records expired in the queue\""),
        1,
        "{}",
        server.log()
    );
    let log = server.log();
    let sum = log
        .lines()
        .find(|line| line.contains("repeatedly"))
        .expect("the sum");
    let sum: serde_json::Value = serde_json::from_str(sum).expect("JSON");
    assert_eq!(sum["repeated"], 4);
    drop(lock);
}

#[test]
fn a_terminal_gets_text() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // `script` provides a terminal. A missing database ends the program with one line of each kind.
    let output = Command::new("script")
        .args([
            "-qec",
            concat!(env!("CARGO_BIN_EXE_daybook"), " init"),
            "/dev/null",
        ])
        .current_dir(dir.path())
        .env("DAYBOOK_REPLICA", "at-a-terminal")
        .env("DAYBOOK_LOG__LEVEL", "debug")
        .output()
        .expect("script, of Debian's bsdutils");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("{\""), "{text}");
    assert!(text.contains("requests.db: created"), "{text}");
}
