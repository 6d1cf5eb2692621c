//! The order of body and handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use daybook::{RequestStore, body_limit};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::{in_chunks, recorded_length, rows, with_length};
use crate::common::client::{Client, send};
use crate::common::in_process::InProcessServer;
use crate::common::server::metric;
use crate::common::{TIMEOUT, eventually};

#[test]
fn a_body_that_no_handler_reads_is_recorded_with_its_length() {
    let server = InProcessServer::start(
        Router::new().route("/ignores", post(async || "ignored")),
        &[("http.body_bytes_max", "1000")],
    );
    let mut client = Client::connect(&server.listen);
    for (path, status) in [("/ignores", 200), ("/nowhere", 404)] {
        for request in [with_length, in_chunks] {
            // The connection is kept alive.
            client.send(request(path, 700));
            let response = client.response();
            assert_eq!(
                (response.status, recorded_length(&server, &response)),
                (status, 700)
            );
        }
    }
    // A limit applies to it, too.
    assert_eq!(
        send(&server.listen, in_chunks("/ignores", 1100)).status,
        413
    );
}

fn wait_until_no_request_is_open(server: &InProcessServer) {
    eventually("no request is open", TIMEOUT, || {
        metric(&server.admin, "daybook_requests_in_flight", &[]) == 0.0
    });
}

#[test]
fn a_handler_with_a_store_runs_only_once_the_whole_body_is_here() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = runs.clone();
    let handler = async move |_: RequestStore| counter.fetch_add(1, SeqCst).to_string();
    let server = InProcessServer::start(
        Router::new().route("/", post(handler)),
        &[("http.body_bytes_max", "1000")],
    );
    // A client that disconnects before its body's end.
    let mut gone = Client::connect(&server.listen);
    gone.send(&with_length("/", 100)[..100]);
    eventually("the request is open", TIMEOUT, || {
        metric(&server.admin, "daybook_requests_in_flight", &[]) == 1.0
    });
    drop(gone);
    wait_until_no_request_is_open(&server);
    // Bodies that are refused.
    let malformed =
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n";
    for (request, status) in [(&*in_chunks("/", 1100), 413), (malformed, 400)] {
        let response = send(&server.listen, request);
        assert_eq!(response.status, status);
        assert!(response.record_id().is_some());
    }
    assert_eq!((runs.load(SeqCst), rows(&server)), (0, 2));

    let response = send(&server.listen, with_length("/", 100));
    assert_eq!(
        (response.text(), recorded_length(&server, &response)),
        ("0", 100)
    );
}

#[test]
fn a_refused_body_hides_what_the_handler_returned() {
    let handler = async |body: Body| match body.collect().await {
        Ok(_) => "read",
        Err(_) => "the handler saw an error",
    };
    let routes = Router::new().route("/", post(handler).layer(body_limit(10)));
    let server = InProcessServer::start(routes, &[]);
    let response = send(&server.listen, in_chunks("/", 11));
    assert_eq!(response.status, 413);
    assert!(!response.contains("the handler saw"), "{}", response.text());
}

#[test]
fn a_body_may_be_returned_or_moved_to_another_task() {
    let (sender, received) = oneshot::channel();
    let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
    let hand_on = async move |body: Body| {
        let sender = sender
            .lock()
            .expect("no panic")
            .take()
            .expect("one request");
        tokio::spawn(async move {
            let body = body.collect().await.expect("a body").to_bytes();
            sender.send(body).expect("the test waits");
        });
        "handed on"
    };
    let routes = Router::new()
        .route("/return", post(async |body: Body| body))
        .route("/hand-on", post(hand_on))
        .layer(body_limit(3000));
    let server = InProcessServer::start(routes, &[("http.body_bytes_max", "1000")]);
    // In memory and in a file.
    for length in [0, 900, 2900] {
        for request in [with_length, in_chunks] {
            let response = send(&server.listen, request("/return", length));
            assert_eq!(response.text(), "a".repeat(length));
            assert_eq!(recorded_length(&server, &response), length as i64);
        }
    }
    let response = send(&server.listen, in_chunks("/hand-on", 2900));
    assert_eq!(
        (response.text(), recorded_length(&server, &response)),
        ("handed on", 2900)
    );
    assert_eq!(received.blocking_recv().expect("the body").len(), 2900);
}
