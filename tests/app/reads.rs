//! A handler's reads: what they see, when they are stopped, and what they leave behind.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daybook::testing::Server;
use daybook::{ReadError, RequestStore};
use rusqlite::Connection;
use tokio::sync::Notify;

use super::{metric_of, notes, start};
use crate::common::{TIMEOUT, eventually};

type Sqlite = rusqlite::Error;

fn count(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("select count(*) from notes", [], |row| row.get(0))
}

/// A handler that reads with `read` and responds with its result, or with the error's text.
fn reads<T: ToString + Send + 'static>(
    read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Clone + Send + Sync + 'static,
) -> axum::routing::MethodRouter {
    get(
        async move |store: RequestStore| match store.read(read).await {
            Ok(value) => value.to_string(),
            Err(error) => format!("error: {error}"),
        },
    )
}

/// Whether no read holds an old snapshot: only then can the log be emptied.
fn assert_the_log_can_be_reset(server: &Server) {
    let sql = "pragma wal_checkpoint(truncate)";
    let is_busy = server.database().query_row(sql, [], |row| row.get(0));
    assert_eq!(is_busy, Ok(0), "a read still holds the log");
}

#[test]
fn a_read_sees_the_request_s_own_committed_write() {
    async fn add_and_count(store: RequestStore, text: String) -> String {
        let insert = "insert into notes (text) values (?)";
        let written = store.write(move |tx| tx.execute(insert, [text])).await;
        written.expect("a note");
        store.read(count).await.expect("a count").to_string()
    }
    let server = start(Router::new().route("/", post(add_and_count)), &[]);
    for n in 1..=20 {
        assert_eq!(server.post("/", "a note").text(), n.to_string());
    }
    assert_eq!(
        metric_of(&server, "daybook_read_duration_seconds_count"),
        20.0
    );
    assert_eq!(metric_of(&server, "daybook_reads_interrupted_total"), 0.0);
}

#[test]
fn all_statements_of_one_read_see_the_same_snapshot() {
    let twice = |db: &Connection| {
        let before = count(db)?;
        let writer = Connection::open(db.path().expect("a file"))?;
        writer.execute("insert into notes (text) values ('meanwhile')", [])?;
        Ok(format!("{before} {}", count(db)?))
    };
    let server = start(Router::new().route("/", reads(twice)), &[]);
    assert_eq!(server.get("/").text(), "0 0");
    assert_eq!(server.get("/").text(), "1 1");
}

#[test]
fn a_read_cannot_write() {
    let server = start(
        Router::new()
            .route(
                "/insert",
                reads(|db| db.execute("insert into notes (text) values ('x')", [])),
            )
            .route(
                "/temporary",
                reads(|db| db.execute("create temp table t (a)", [])),
            )
            // Not even against all rules.
            .route(
                "/commit",
                reads(|db| {
                    db.execute_batch("commit")?;
                    db.execute("insert into notes (text) values ('x')", [])
                }),
            ),
        &[],
    );
    for path in ["/insert", "/temporary", "/commit"] {
        let response = server.get(path);
        assert!(
            response.text().contains("readonly"),
            "{path}: {}",
            response.text()
        );
    }
    assert!(notes(&server).is_empty());
}

/// On a loaded machine even a short read can miss a short `database.read_timeout`.
fn wait_until_a_read_works(server: &Server) {
    eventually("a read works", TIMEOUT, || {
        server.get("/count").text() == "0"
    });
}

/// Without an end.
const ENDLESS: &str =
    "with recursive n (i) as (select 1 union all select i + 1 from n) select count(*) from n";

fn run_endlessly(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row(ENDLESS, [], |row| row.get(0))
}

#[test]
fn a_long_read_is_stopped_and_the_log_can_be_reset() {
    async fn hands_the_error_on(store: RequestStore) -> Result<String, ReadError<Sqlite>> {
        store.read(run_endlessly).await.map(|n| n.to_string())
    }
    /// Many short statements, each prepared for itself.
    fn many_short_ones(db: &Connection) -> rusqlite::Result<i64> {
        loop {
            count(db)?;
        }
    }
    /// The same prepared statement each time.
    fn one_short_one(db: &Connection) -> rusqlite::Result<i64> {
        loop {
            let sql = "select count(*) from notes";
            db.prepare_cached(sql)?
                .query_row([], |row| row.get::<_, i64>(0))?;
        }
    }
    let server = start(
        Router::new()
            .route("/endless", reads(run_endlessly))
            .route("/many", reads(many_short_ones))
            .route("/one", reads(one_short_one))
            .route("/response", get(hands_the_error_on))
            .route("/count", reads(count)),
        &ONE_READER,
    );
    let stopped = || metric_of(&server, "daybook_reads_interrupted_total");
    for path in ["/endless", "/many", "/one"] {
        let before = stopped();
        let response = server.get(path);
        let text = response.text();
        assert!(
            text.contains("`database.read_timeout`, 1s"),
            "{path}: {text}"
        );
        assert_eq!(stopped(), before + 1.0);
        assert_the_log_can_be_reset(&server);
        wait_until_a_read_works(&server);
    }
    let response = server.get("/response");
    assert_eq!((response.status().as_u16(), response.text()), (500, ""));
    assert!(response.record_id().is_some());
}

#[test]
fn a_stopped_read_may_return_what_it_has_found() {
    let found = |db: &Connection| {
        let mut rows = 0;
        let sql = ENDLESS.replace("count(*)", "i");
        let mut statement = db.prepare(&sql)?;
        let mut found = statement.query([])?;
        while let Ok(Some(_)) = found.next() {
            rows += 1;
        }
        Ok(rows > 0)
    };
    let server = start(
        Router::new().route("/", reads(found)),
        &[("database.read_timeout", "1s")],
    );
    assert_eq!(server.get("/").text(), "true");
}

/// A handler whose read blocks outside of SQLite until the test lets it go.
struct Blocking {
    begun: Receiver<()>,
    release: Sender<()>,
}

impl Blocking {
    /// If it `gives_up`, the handler stops waiting once its read has begun.
    fn route(gives_up: bool) -> (axum::routing::MethodRouter, Self) {
        let (begins, begun) = channel();
        let (release, released) = channel();
        let released = Arc::new(Mutex::new(released));
        let handler = async move |store: RequestStore| {
            let given_up = Arc::new(Notify::new());
            let gives_up = gives_up.then(|| given_up.clone());
            let read = store.read(move |db| {
                begins.send(()).expect("the test waits");
                gives_up.inspect(|given_up| given_up.notify_one());
                let released = released.lock().expect("one request");
                released.recv().expect("the test releases it");
                count(db)
            });
            tokio::select! {
                () = given_up.notified() => "gave up".to_owned(),
                result = read => result.map_or_else(|error| error.to_string(), |n| n.to_string()),
            }
        };
        (get(handler), Self { begun, release })
    }
}

const ONE_READER: [(&str, &str); 2] = [
    ("database.readers_max", "1"),
    ("database.read_timeout", "1s"),
];

#[test]
fn other_requests_are_served_while_a_read_blocks_but_a_read_waits_only_for_the_timeout() {
    let (blocks, blocking) = Blocking::route(false);
    let routes = Router::new()
        .route("/blocks", blocks)
        .route("/count", reads(count))
        .route("/hello", get(async || "hello"));
    let server = start(routes, &ONE_READER);
    thread::scope(|scope| {
        let blocked = scope.spawn(|| server.get("/blocks"));
        blocking
            .begun
            .recv_timeout(TIMEOUT)
            .expect("the read begins");
        assert_eq!(server.get("/hello").text(), "hello");
        let response = server.get("/count");
        let text = response.text();
        assert!(text.contains("no read connection became free"), "{text}");
        assert!(text.contains("`database.readers_max`"), "{text}");
        // The operator's reads have connections of their own.
        let admin = server.admin_url().strip_prefix("http://").expect("a URL");
        let page = crate::common::client::get(admin, "/requests");
        assert_eq!(page.status, 200, "{}", page.text());
        assert_eq!(metric_of(&server, "daybook_reads_interrupted_total"), 1.0);
        blocking.release.send(()).expect("it waits");
        // Nothing could stop the closure, but SQLite refuses its statement.
        let response = blocked.join().expect("a response");
        assert!(
            response.text().contains("was stopped"),
            "{}",
            response.text()
        );
    });
    wait_until_a_read_works(&server);
}

#[test]
fn an_abandoned_read_keeps_its_connection_until_it_is_done() {
    let (blocks, blocking) = Blocking::route(true);
    let routes = Router::new()
        .route("/blocks", blocks)
        .route("/count", reads(count));
    let server = start(routes, &ONE_READER);
    assert_eq!(server.get("/blocks").text(), "gave up");
    blocking
        .begun
        .recv_timeout(TIMEOUT)
        .expect("the read begins");
    // The second one shows that the first one has not opened a further connection.
    for _ in 0..2 {
        let response = server.get("/count");
        let text = response.text();
        assert!(text.contains("no read connection"), "{text}");
    }
    blocking.release.send(()).expect("it waits");
    wait_until_a_read_works(&server);
    assert_the_log_can_be_reset(&server);
}

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
