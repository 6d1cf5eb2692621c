//! The guarantees that an application's handlers rely on.

use std::time::Duration;

use crate::common::client::{get as http_get, send};
use crate::common::in_process::InProcessServer;
use crate::common::locks::WriteLock;
use crate::common::notes::{
    assert_nothing_was_written, post_text, records_and_notes, start_with_notes, strings,
};
use crate::common::{TIMEOUT, eventually};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;

#[test]
fn a_path_without_a_route_is_recorded() {
    let server = InProcessServer::start(Router::new().route("/here", get(async || "here")), &[]);
    for (path, status) in [("/here", 200), ("/nowhere", 404)] {
        let response = http_get(&server.listen, path);
        assert_eq!(response.status, status);
        assert!(response.record_id().is_some(), "{}", response.head);
    }
    let wrong_method = send(&server.listen, "DELETE /here HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(wrong_method.status, 405);
    assert!(wrong_method.record_id().is_some());
}

#[test]
fn a_panic_gets_a_500_with_a_row_and_the_server_continues() {
    let routes = Router::new()
        .route(
            "/panic",
            get(async || -> () { panic!("what the client must not read") }),
        )
        .fallback(async || "fine");
    let server = InProcessServer::start(routes, &[]);
    let response = http_get(&server.listen, "/panic");
    assert_eq!(response.status, 500);
    assert!(!response.text().contains("must not read"));
    assert!(response.record_id().is_some());
    assert_eq!(http_get(&server.listen, "/").text(), "fine");
}

#[test]
fn a_record_id_from_a_handler_is_replaced_or_removed() {
    async fn sets_two() -> impl IntoResponse {
        let ids = AppendHeaders([("record-id", "4711"), ("record-id", "4712")]);
        (StatusCode::SERVICE_UNAVAILABLE, ids, "not now")
    }
    let routes = || Router::new().fallback(sets_two);
    let server = InProcessServer::start(routes(), &[]);
    // A handler's own 503 has a row and a record-id.
    let response = http_get(&server.listen, "/");
    assert_eq!((response.status, response.text()), (503, "not now"));
    assert_eq!(response.record_id(), Some(1));

    let server = InProcessServer::start(routes(), &[("record", "false")]);
    let response = http_get(&server.listen, "/");
    assert_eq!((response.status, response.text()), (503, "not now"));
    assert_eq!(response.record_id(), None);
}

#[test]
fn a_write_and_its_record_are_committed_together() {
    let server = start_with_notes(&[]);
    let response = post_text(&server, "/notes", "hello");
    assert_eq!((response.status, response.text()), (200, "1"));
    assert!(response.record_id().is_some());
    assert_eq!(
        records_and_notes(&server),
        (strings(&["/notes"]), strings(&["hello"]))
    );

    // While the lock is held neither is there; after it, both.
    let lock = WriteLock::take(server.database_path());
    std::thread::scope(|scope| {
        let held_back = scope.spawn(|| post_text(&server, "/notes", "held back"));
        server.wait_until_queued(1);
        assert_eq!(records_and_notes(&server).0.len(), 1);
        drop(lock);
        assert_eq!(held_back.join().expect("a response").status, 200);
    });
    let (records, notes) = records_and_notes(&server);
    assert_eq!(records.len(), 2);
    assert_eq!(notes, ["hello", "held back"]);
}

#[test]
fn two_writes_of_one_request_make_one_record() {
    let server = start_with_notes(&[]);
    let response = post_text(&server, "/two", "");
    assert_eq!((response.status, response.text()), (200, "two"));
    assert_eq!(
        records_and_notes(&server),
        (strings(&["/two"]), strings(&["first", "second"]))
    );
}

/// Waits until the handler's own timeout for its write is over.
fn wait_until_handler_timed_out(server: &InProcessServer) {
    server.wait_until_queued(1);
    let begun = std::time::Instant::now();
    eventually("the handler timed out", TIMEOUT, || {
        begun.elapsed() > Duration::from_millis(50)
    });
}

#[test]
fn an_abandoned_write_still_carries_the_record() {
    let server = start_with_notes(&[]);
    let lock = WriteLock::take(server.database_path());
    std::thread::scope(|scope| {
        let abandoned = scope.spawn(|| http_get(&server.listen, "/gives-up"));
        wait_until_handler_timed_out(&server);
        drop(lock);
        let response = abandoned.join().expect("a response");
        assert_eq!((response.status, response.text()), (200, "gave up waiting"));
        assert!(response.record_id().is_some());
    });
    assert_eq!(
        records_and_notes(&server),
        (strings(&["/gives-up"]), strings(&["late"]))
    );
}

#[test]
fn a_write_after_an_abandoned_one_makes_no_second_record() {
    let server = start_with_notes(&[]);
    let lock = WriteLock::take(server.database_path());
    std::thread::scope(|scope| {
        let pending = scope.spawn(|| http_get(&server.listen, "/tries-again"));
        wait_until_handler_timed_out(&server);
        drop(lock);
        let response = pending.join().expect("a response");
        assert_eq!(
            (response.status, response.text(), response.record_id()),
            (200, "the first was given up: true", Some(1))
        );
    });
    assert_eq!(
        records_and_notes(&server),
        (strings(&["/tries-again"]), strings(&["late", "again"]))
    );
}

#[test]
fn a_write_after_an_abandoned_and_rejected_one_is_rejected_too() {
    let server = start_with_notes(&[("commit.deadline", "100ms")]);
    let lock = WriteLock::take(server.database_path());
    let response = http_get(&server.listen, "/tries-again");
    assert_eq!((response.status, response.record_id()), (503, None));
    drop(lock);
    assert_nothing_was_written(&server);
}

#[test]
fn two_concurrent_writes_of_one_request_are_both_committed() {
    let server = start_with_notes(&[]);
    let response = post_text(&server, "/two-at-once", "");
    assert_eq!((response.status, response.text()), (200, "both"));
    let (records, mut notes) = records_and_notes(&server);
    notes.sort();
    assert_eq!(
        (records, notes),
        (strings(&["/two-at-once"]), strings(&["one", "other"]))
    );
}

#[test]
fn a_body_counts_against_the_budget_until_the_response() {
    let server = start_with_notes(&[
        ("http.body_bytes_max", "60000"),
        ("http.body_bytes_in_flight_max", "100000"),
    ]);
    let lock = WriteLock::take(server.database_path());
    let note = "x".repeat(60_000);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post_text(&server, "/notes", &note));
        server.wait_until_queued(1);
        assert_eq!(post_text(&server, "/notes", &note).status, 503);
        drop(lock);
        assert_eq!(first.join().expect("a response").status, 200);
    });
    assert_eq!(post_text(&server, "/notes", &note[1..]).status, 200);
}

#[test]
fn a_handler_that_hands_on_a_failed_write_responds_500_with_a_row() {
    let server = start_with_notes(&[]);
    assert_eq!(post_text(&server, "/two", "").status, 200);
    // The same notes once more, which their table refuses.
    let response = post_text(&server, "/two", "");
    assert_eq!((response.status, response.record_id()), (500, Some(2)));
}
