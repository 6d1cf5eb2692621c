//! A read leaves nothing behind on its connection.

use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use daybook::RequestStore;
use rusqlite::Connection;

use super::{assert_the_log_can_be_reset, count, reads};
use crate::common::application::start;

#[test]
fn a_panic_in_a_read_continues_in_the_handler_and_the_next_read_works() {
    let panics = |_: &Connection| -> rusqlite::Result<i64> { panic!("in the read") };
    let routes = Router::new()
        .route("/panics", reads(panics))
        .route("/count", reads(count));
    let server = start(routes, &[("database.readers_max", "1")]);
    for _ in 0..2 {
        let response = server.get("/panics");
        assert_eq!(response.status(), 500);
        assert_eq!(response.text(), "internal error\n");
        assert!(response.record_id().is_some());
        assert_the_log_can_be_reset(&server);
        assert_eq!(server.get("/count").text(), "0");
    }
}

#[test]
fn a_read_leaves_nothing_behind_for_the_next_one() {
    /// The state of the connection, as far as a read can see it.
    fn state(db: &Connection) -> rusqlite::Result<String> {
        let one = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0));
        Ok([
            one("select group_concat(name) from pragma_database_list")?,
            one("select cast('a' like 'A' as text)")?,
            one("select cast(cache_size as text) from pragma_cache_size")?,
            one("select cast(query_only as text) from pragma_query_only")?,
            one("select cast(timeout > 1000 as text) from pragma_busy_timeout")?,
            db.is_autocommit().to_string(),
        ]
        .join(" "))
    }
    async fn run(store: RequestStore, sql: String) -> Response {
        store
            .read(move |db| db.execute_batch(&sql))
            .await
            .map_or_else(|error| error.to_string(), |()| "done".to_owned())
            .into_response()
    }
    let routes = Router::new()
        .route("/run", post(run))
        .route("/state", reads(state))
        .route(
            "/busy-timeout",
            reads(|db| db.busy_timeout(Duration::ZERO).map(|()| "done")),
        );
    let server = start(
        routes,
        &[
            ("database.readers_max", "1"),
            ("database.read_timeout", "10s"),
        ],
    );
    let before = server.get("/state").text().to_owned();
    assert!(before.starts_with("main 1 "), "{before}");
    for (sql, result) in [
        ("attach ':memory:' as other", "not authorized"),
        ("detach main", "not authorized"),
        ("pragma case_sensitive_like = true", "not authorized"),
        ("pragma cache_size = 1", "not authorized"),
        ("pragma query_only = off", "not authorized"),
        ("pragma QUERY_ONLY(off)", "not authorized"),
        ("pragma table_info(notes)", "done"),
        ("begin", "cannot start a transaction within a transaction"),
        ("commit", "done"),
        ("rollback; begin; select * from notes", "done"),
        ("savepoint a", "done"),
    ] {
        let response = server.post("/run", sql);
        assert!(
            response.text().contains(result),
            "{sql}: {}",
            response.text()
        );
        assert_the_log_can_be_reset(&server);
        assert_eq!(server.get("/state").text(), before, "after {sql}");
    }
    assert_eq!(server.get("/busy-timeout").text(), "done");
    assert_eq!(server.get("/state").text(), before);
}

#[test]
fn a_connection_whose_snapshot_a_read_holds_too_long_is_not_used_again() {
    fn leaks(db: &Connection) -> rusqlite::Result<&'static str> {
        let statement = Box::leak(Box::new(db.prepare("select id from notes")?));
        let rows = Box::leak(Box::new(statement.query([])?));
        rows.next()?;
        Ok("leaked")
    }
    let routes = Router::new()
        .route("/leaks", reads(leaks))
        .route("/count", reads(count));
    let server = start(routes, &[("database.readers_max", "1")]);
    let add = "insert into notes (text) values ('a'), ('b')";
    server.database().execute_batch(add).expect("notes");
    assert_eq!(server.get("/leaks").text(), "leaked");
    server.database().execute_batch(add).expect("notes");
    assert_eq!(server.get("/count").text(), "4");
}
