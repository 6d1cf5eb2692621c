//! `daybook stats`.

use super::on;
use crate::common::server::Server;
use crate::common::{db, seed};

/// A server with ten requests of a known minute, of which two have each status.
fn start() -> Server {
    let server = Server::start();
    db::add_rows(&server.db(), 8, 0);
    server
}

/// The minute of these requests.
const TIME: [&str; 4] = ["--since", "1700000000", "--until", "1700000040"];

#[test]
fn the_file_and_a_replica_have_the_same_figures() {
    let server = start();
    let url = format!("http://{}", server.admin());
    let api = server
        .get_admin("/api/stats?since=1700000000&until=1700000040&status=4xx&status=5xx&top=1")
        .json();
    assert_eq!(api["total"]["requests"], 4, "{api}");
    for source in [&[][..], &["--admin", &url]] {
        let filters = ["--status", "4xx", "--status", "5xx", "--top", "1"];
        let json = on(
            server.database_path(),
            &[&["stats", "--json"], &TIME[..], &filters, source].concat(),
        );
        assert_eq!(json.code, Some(0), "{}", json.stderr);
        let figures: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
        assert_eq!(figures, api);
        let text = on(
            server.database_path(),
            &[&["stats"], &TIME[..], source].concat(),
        );
        assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
        for line in [
            "8 requests from 2023-11-14 22:13:00 to 2023-11-14 22:14:00",
            "status    2xx 2 (25.00 %)  3xx 2 (25.00 %)  4xx 2 (25.00 %)  5xx 2 (25.00 %)",
            "           1  /added/1",
            "           8  192.0.2.1",
        ] {
            assert!(
                text.stdout.lines().any(|found| found == line),
                "{line} is not in:\n{}",
                text.stdout
            );
        }
    }
}

#[test]
fn a_wrong_parameter_is_wrong_usage() {
    let server = start();
    for (arguments, words) in [
        (["--bucket", "7m"], "bucket=7m"),
        (["--top", "many"], "top=many"),
        (["--since", "soon"], "since=soon"),
    ] {
        let run = on(
            server.database_path(),
            &[&["stats"], &arguments[..]].concat(),
        );
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.error_line().contains(words), "{}", run.stderr);
    }
}

#[test]
fn a_database_of_the_seed_has_figures_from_its_rows() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("requests.db");
    seed::create_with_rows(&database);
    // The seed's rows are of this second.
    let command = [
        "stats",
        "--json",
        "--since",
        "1500000000",
        "--until",
        "1500000060",
    ];
    let figures = || {
        let run = on(&database, &command);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout
    };
    let before = figures();
    let parsed: serde_json::Value = serde_json::from_str(&before).expect("JSON");
    assert_eq!(parsed["total"]["requests"], 3, "{parsed}");
    assert_eq!(on(&database, &["init"]).code, Some(0));
    assert_eq!(figures(), before);
}

#[test]
fn the_figures_of_a_file_have_time_for_all_its_rows() {
    let server = Server::start();
    db::add_rows(&server.db(), 10_000, 0);
    let arguments = [
        "stats",
        "--json",
        "--since",
        "1700000000",
        "--until",
        "1700010800",
    ];
    let run = on(server.database_path(), &arguments);
    let figures: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(figures["complete"], true, "{}", run.stderr);
    assert_eq!(figures["total"]["requests"], 10_000);
}
