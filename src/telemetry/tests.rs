//! A panic in the log. The test runs itself as a child process, because the log and the panic hook are global.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::routing::get;
use serde_json::Value;

use crate::app::App;
use crate::config::load_from;
use crate::testing::Server;

/// Set in the child process, whose standard error the parent checks.
const CHILD: &str = "DAYBOOK_TEST_CHILD";
/// The path of this file's test.
const TEST: &str = "telemetry::tests::a_repeated_panic_is_one_log_line";

#[test]
fn a_repeated_panic_is_one_log_line() {
    if std::env::var_os(CHILD).is_some() {
        return panic_often();
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--nocapture", "--test-threads=1", TEST])
        .env(CHILD, "1")
        .output()
        .expect("running it again");
    let log = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let panics: Vec<_> = lines
        .iter()
        .filter(|line| line["level"] == "ERROR")
        .collect();
    assert_eq!(panics.len(), 1, "{log}");
    assert_eq!(panics[0]["message"], "a panic");
    let cause = panics[0]["cause"].as_str().expect("a cause");
    assert!(cause.starts_with("src/telemetry/tests.rs:"), "{cause}");
    assert!(cause.ends_with(": first line\nsecond line"), "{cause}");
}

fn panic_often() {
    let environment = [("DAYBOOK_LOG__FORMAT".into(), "json".into())];
    let config = load_from(None, environment, Path::new("/nonexistent")).expect("a valid one");
    super::init(&config.log, "test");
    let handler = async || -> () { panic!("first line\nsecond line") };
    let app = App::new("test", move |_| Ok(Router::new().fallback(get(handler))));
    let server = Server::start(app);
    for _ in 0..5 {
        assert_eq!(server.get("/").status(), 500);
    }
    drop(server);
    super::flush();
}
