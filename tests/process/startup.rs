//! A start: the files it creates, and its log line.

use crate::common::locks::lock_file;
use crate::common::server::Server;

#[test]
fn the_linked_sqlite_is_free_of_the_wal_reset_bug() {
    let server = Server::start();
    let metrics = server.get_admin("/metrics");
    let label = metrics
        .text()
        .split("sqlite=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let version = label.expect("the label sqlite of daybook_build_info");
    let parts: Vec<u32> = version
        .split('.')
        .map(|part| part.parse().expect("a number"))
        .collect();
    assert!(parts >= vec![3, 51, 3], "{version}");
}

#[test]
fn a_start_creates_the_database_its_lock_file_and_the_table() {
    let server = Server::start();
    assert!(lock_file(server.database_path()).exists());
    let columns = "select group_concat(name || ' ' || type || ' ' || \"notnull\", ', ') from pragma_table_info('requests')";
    let text = |sql: &str| -> String {
        server
            .db()
            .query_row(sql, [], |row| row.get(0))
            .expect("a text")
    };
    assert_eq!(
        text(columns).to_lowercase(),
        "id integer 0, timestamp real 1, method text 1, path text 1, content_length integer 1, remote_addr text 0, status integer 0, duration_us integer 0"
    );
    assert_eq!(text("pragma journal_mode"), "wal");
    let versions = "select version || ' ' || oldest from daybook_schema";
    assert_eq!(text(versions), "2 1");
}

#[test]
fn the_ready_line_names_versions_and_database() {
    let server = Server::start();
    let log = server.log();
    let ready = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|line| line["message"] == "ready")
        .expect("the ready line");
    assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        ready["database"],
        server.database_path().display().to_string()
    );
    assert_eq!(
        (&ready["synchronous"], &ready["replica"]),
        (&"normal".into(), &"test".into())
    );
    assert!(
        ready["database_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0),
        "{ready}"
    );
    assert!(
        ready["sqlite"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.")),
        "{ready}"
    );
}
