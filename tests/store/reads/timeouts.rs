//! Reads that are stopped, and requests that wait for them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::routing::get;
use daybook::{ReadError, RequestStore};
use rusqlite::Connection;
use tokio::sync::Notify;

use super::{assert_the_log_can_be_reset, count, reads, wait_until_a_read_works};
use crate::common::TIMEOUT;
use crate::common::application::{metric_of, start};

type Sqlite = rusqlite::Error;

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
