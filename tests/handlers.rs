//! What whoever replaces the handler relies on.

mod common;

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use common::embedded::Embedded;
use common::hold::WriteLock;
use common::raw::{Answer, Client, exchange, get as ask};
use common::{SOON, eventually};
use daybook::store::{RequestStore, WriteError};

/// Routes over a table of notes without repetitions.
fn notes() -> Router {
    async fn add(store: RequestStore, text: String) -> Result<String, (StatusCode, &'static str)> {
        let written = store
            .write(move |tx| {
                tx.execute("insert into notes (text) values (?)", [text])?;
                Ok::<_, rusqlite::Error>(tx.last_insert_rowid())
            })
            .await;
        match written {
            Ok(id) => Ok(id.to_string()),
            Err(WriteError::Undone(_)) => Err((StatusCode::CONFLICT, "there is such a note")),
            Err(WriteError::Store(_)) => Err((StatusCode::IM_A_TEAPOT, "not what is sent")),
        }
    }
    async fn add_two(store: RequestStore) -> Result<String, WriteError<rusqlite::Error>> {
        for text in ["first", "second"] {
            store
                .write(move |tx| tx.execute("insert into notes (text) values (?)", [text]))
                .await?;
        }
        Ok("two".to_owned())
    }
    async fn panics_in_the_write(store: RequestStore) -> Result<(), WriteError<rusqlite::Error>> {
        store
            .write(|tx| {
                tx.execute("insert into notes (text) values ('panic')", [])?;
                panic!("in the write")
            })
            .await
    }
    async fn add_two_at_once(store: RequestStore) -> Result<String, WriteError<rusqlite::Error>> {
        let tasks = ["one", "other"].map(|text| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write(move |tx| tx.execute("insert into notes (text) values (?)", [text]))
                    .await
            })
        });
        for task in tasks {
            task.await.expect("no panic")?;
        }
        Ok("both".to_owned())
    }
    /// What no write may do.
    fn ends_the_transaction(sql: &'static str) -> MethodRouter {
        get(async move |store: RequestStore| store.write(move |tx| tx.execute_batch(sql)).await)
    }
    async fn fills_the_disk(store: RequestStore) -> Result<(), WriteError<rusqlite::Error>> {
        store
            .write(|tx| {
                let filled = tx.execute_batch(
                    "pragma max_page_count = 100; insert into notes (text) values (zeroblob(9999999))",
                );
                tx.execute_batch("pragma max_page_count = 4294967294")?;
                filled
            })
            .await
    }
    async fn breaks_a_deferred_constraint(
        store: RequestStore,
    ) -> Result<(), WriteError<rusqlite::Error>> {
        store
            .write(|tx| tx.execute_batch("insert into children (parent) values (4711)"))
            .await
    }
    async fn gives_up(store: RequestStore) -> &'static str {
        let write = store.write(|tx| tx.execute("insert into notes (text) values ('late')", []));
        match tokio::time::timeout(Duration::from_millis(1), write).await {
            Ok(_) => "written",
            Err(_) => "gave up waiting",
        }
    }
    Router::new()
        .route("/notes", post(add))
        .route("/two", post(add_two))
        .route("/panic-in-write", get(panics_in_the_write))
        .route("/two-at-once", post(add_two_at_once))
        .route("/commit", ends_the_transaction("commit"))
        .route("/commit-begin", ends_the_transaction("commit; begin"))
        .route("/rollback", ends_the_transaction("rollback"))
        .route("/rollback-begin", ends_the_transaction("rollback; begin"))
        .route("/fills-the-disk", get(fills_the_disk))
        .route("/orphan", get(breaks_a_deferred_constraint))
        .route("/gives-up", get(gives_up))
}

fn with_notes(keys: &[(&str, &str)]) -> Embedded {
    let server = Embedded::start(notes(), keys);
    server
        .db()
        .execute_batch(
            "create table notes (id integer primary key, text text not null unique);
             create table children (parent integer references notes deferrable initially deferred)",
        )
        .expect("the tables");
    server
}

fn post_to(server: &Embedded, path: &str, body: &str) -> Answer {
    let length = body.len();
    exchange(
        &server.listen,
        format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}"),
    )
}

/// Paths of the records, oldest first, and texts of the notes.
fn written(server: &Embedded) -> (Vec<String>, Vec<String>) {
    let database = server.db();
    let texts = |sql: &str| {
        let mut statement = database.prepare(sql).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<Vec<String>, _>>().expect("texts")
    };
    (
        texts("select path from requests order by id"),
        texts("select text from notes order by id"),
    )
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_path_that_no_route_matches_is_recorded() {
    let server = Embedded::start(Router::new().route("/here", get(async || "here")), &[]);
    for (path, status) in [("/here", 200), ("/nowhere", 404)] {
        let answer = ask(&server.listen, path);
        assert_eq!(answer.status, status);
        assert!(answer.record_id().is_some(), "{}", answer.head);
    }
    let wrong_method = exchange(&server.listen, "DELETE /here HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(wrong_method.status, 405);
    assert!(wrong_method.record_id().is_some());
}

#[test]
fn a_panic_is_an_answer_with_a_row_and_the_next_request_is_served() {
    let routes = Router::new()
        .route(
            "/panic",
            get(async || -> () { panic!("what the client must not read") }),
        )
        .fallback(async || "fine");
    let server = Embedded::start(routes, &[]);
    let answer = ask(&server.listen, "/panic");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("must not read"));
    assert!(answer.record_id().is_some());
    assert_eq!(ask(&server.listen, "/").text(), "fine");
}

#[test]
fn a_write_and_its_record_are_committed_together() {
    let server = with_notes(&[]);
    let answer = post_to(&server, "/notes", "hello");
    assert_eq!((answer.status, answer.text()), (200, "1"));
    assert!(answer.record_id().is_some());
    assert_eq!(
        written(&server),
        (strings(&["/notes"]), strings(&["hello"]))
    );

    // Held back, neither is there; let go, both are.
    let lock = WriteLock::take(&server.database_path());
    std::thread::scope(|scope| {
        let held_back = scope.spawn(|| post_to(&server, "/notes", "held back"));
        server.wait_until_queued(1);
        assert_eq!(written(&server).0.len(), 1);
        drop(lock);
        assert_eq!(held_back.join().expect("an answer").status, 200);
    });
    let (records, notes) = written(&server);
    assert_eq!(records.len(), 2);
    assert_eq!(notes, ["hello", "held back"]);
}

#[test]
fn a_write_that_fails_leaves_nothing_and_its_request_is_recorded() {
    let server = with_notes(&[]);
    assert_eq!(post_to(&server, "/notes", "same").status, 200);
    let answer = post_to(&server, "/notes", "same");
    assert_eq!(
        (answer.status, answer.text()),
        (409, "there is such a note")
    );
    assert!(answer.record_id().is_some());
    assert_eq!(
        written(&server),
        (strings(&["/notes", "/notes"]), strings(&["same"]))
    );
}

#[test]
fn a_write_that_panics_leaves_nothing_and_is_500_with_a_row() {
    let server = with_notes(&[]);
    let answer = ask(&server.listen, "/panic-in-write");
    assert_eq!(answer.status, 500);
    assert!(answer.record_id().is_some());
    assert_eq!(
        written(&server),
        (strings(&["/panic-in-write"]), strings(&[]))
    );
}

#[test]
fn two_writes_of_one_request_make_one_record() {
    let server = with_notes(&[]);
    let answer = post_to(&server, "/two", "");
    assert_eq!((answer.status, answer.text()), (200, "two"));
    assert_eq!(
        written(&server),
        (strings(&["/two"]), strings(&["first", "second"]))
    );
}

#[test]
fn a_write_that_its_handler_gives_up_on_still_carries_the_record() {
    let server = with_notes(&[]);
    let lock = WriteLock::take(&server.database_path());
    std::thread::scope(|scope| {
        let given_up = scope.spawn(|| ask(&server.listen, "/gives-up"));
        server.wait_until_queued(1);
        let begun = std::time::Instant::now();
        eventually("the handler has given up", SOON, || {
            begun.elapsed() > Duration::from_millis(50)
        });
        drop(lock);
        let answer = given_up.join().expect("an answer");
        assert_eq!((answer.status, answer.text()), (200, "gave up waiting"));
        assert!(answer.record_id().is_some());
    });
    assert_eq!(
        written(&server),
        (strings(&["/gives-up"]), strings(&["late"]))
    );
}

#[test]
fn a_write_that_the_store_refuses_is_503_whatever_the_handler_says() {
    let server = with_notes(&[("COMMIT__DEADLINE", "100ms")]);
    let lock = WriteLock::take(&server.database_path());
    let answer = post_to(&server, "/notes", "never");
    assert_eq!(answer.status, 503, "{}", answer.head);
    assert!(answer.head.contains("retry-after"), "{}", answer.head);
    drop(lock);
    assert_eq!(post_to(&server, "/notes", "after").status, 200);
    assert_eq!(
        written(&server),
        (strings(&["/notes"]), strings(&["after"]))
    );
}

#[test]
fn two_writes_of_one_request_at_once_are_both_done() {
    let server = with_notes(&[]);
    let answer = post_to(&server, "/two-at-once", "");
    assert_eq!((answer.status, answer.text()), (200, "both"));
    let (records, mut notes) = written(&server);
    notes.sort();
    assert_eq!(
        (records, notes),
        (strings(&["/two-at-once"]), strings(&["one", "other"]))
    );
}

#[test]
fn a_write_that_commits_is_not_answered_and_the_server_goes_on() {
    let server = with_notes(&[]);
    for path in ["/commit", "/commit-begin"] {
        let mut client = Client::connect(&server.listen);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert!(client.rest().map_or(true, |sent| sent.is_empty()), "{path}");
        assert_eq!(post_to(&server, "/notes", path).status, 200);
    }
}

#[test]
fn a_write_that_has_the_transaction_rolled_back_is_503_and_takes_nobody_along() {
    let server = with_notes(&[]);
    for path in ["/fills-the-disk", "/rollback"] {
        let lock = WriteLock::take(&server.database_path());
        std::thread::scope(|scope| {
            let listen = &server.listen;
            let asked =
                ["/a", path, "/b"].map(|path| scope.spawn(move || ask(listen, path).status));
            server.wait_until_queued(3);
            drop(lock);
            let statuses = asked.map(|answer| answer.join().expect("an answer"));
            assert_eq!(statuses, [404, 503, 404], "{path}");
        });
    }
    let (mut records, notes) = written(&server);
    records.sort();
    assert_eq!(
        (records, notes),
        (strings(&["/a", "/a", "/b", "/b"]), vec![])
    );
    assert_eq!(ask(&server.listen, "/rollback-begin").status, 503);
    assert_eq!(post_to(&server, "/notes", "after").status, 200);
}

#[test]
fn a_body_counts_until_its_request_is_answered_though_the_handler_has_copied_it() {
    let server = with_notes(&[
        ("HTTP__BODY_BYTES_MAX", "60000"),
        ("HTTP__BODY_BYTES_IN_FLIGHT_MAX", "100000"),
    ]);
    let lock = WriteLock::take(&server.database_path());
    let note = "x".repeat(60_000);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post_to(&server, "/notes", &note));
        server.wait_until_queued(1);
        assert_eq!(post_to(&server, "/notes", &note).status, 503);
        drop(lock);
        assert_eq!(first.join().expect("an answer").status, 200);
    });
    assert_eq!(post_to(&server, "/notes", &note[1..]).status, 200);
}

#[test]
fn a_write_that_breaks_a_deferred_constraint_takes_nobody_along() {
    let server = with_notes(&[]);
    let lock = WriteLock::take(&server.database_path());
    std::thread::scope(|scope| {
        let paths = ["/a", "/orphan", "/b"];
        let asked = paths.map(|path| scope.spawn(|| ask(&server.listen, path).status));
        server.wait_until_queued(3);
        drop(lock);
        assert_eq!(
            asked.map(|answer| answer.join().expect("an answer")),
            [404, 503, 404]
        );
    });
    let (mut records, _) = written(&server);
    records.sort();
    assert_eq!(records, ["/a", "/b"]);
}
