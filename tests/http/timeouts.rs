//! Each timeout: the response, the row and the metric.

use std::time::{Duration, Instant};

use crate::common::client::{Client, Response};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

fn send(server: &Server, request: &str) -> (Client, Response) {
    let mut client = Client::connect(server.addr());
    client.send(request);
    let response = client.response();
    (client, response)
}

fn is_closed_for(server: &Server, reason: &str) -> bool {
    server.metric("daybook_connections_closed_total", &[("reason", reason)]) == 1.0
}

#[test]
fn a_head_that_is_incomplete_at_the_timeout_is_408() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "200ms");
    });
    let (mut client, response) = send(&server, "GET /slow HTTP/1.1\r\nHo");
    assert_eq!(
        (response.status, response.record_id()),
        (408, None),
        "{}",
        response.head
    );
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    assert_eq!(server.rows(), 0);
    server.wait_for_responses(408, 1);
}

#[test]
fn a_second_head_that_is_incomplete_at_the_timeout_is_408() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "200ms");
    });
    let (mut client, response) = send(&server, "GET / HTTP/1.1\r\nHost: h\r\n\r\nG");
    assert_eq!(response.status, 200);
    assert_eq!(client.response().status, 408);
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    assert_eq!(server.rows(), 1);
}

#[test]
fn a_connection_on_which_nothing_is_sent_is_closed_without_a_response() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "200ms");
    });
    let mut client = Client::connect(server.addr());
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    eventually("the close is counted", TIMEOUT, || {
        is_closed_for(&server, "header_timeout")
    });
    assert_eq!(server.rows(), 0);
}

#[test]
fn a_body_that_is_incomplete_at_the_timeout_is_408() {
    let chunked =
        "POST /slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let sized = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc";
    for request in [sized, chunked] {
        let server = Server::with(|c| {
            c.text("http.body_timeout", "200ms");
        });
        let (mut client, response) = send(&server, request);
        assert_eq!(response.status, 408, "{}", response.head);
        assert!(
            !response.contains("abc"),
            "the response contains bytes of the request: {}",
            response.text()
        );
        assert_eq!(client.read_to_end().expect("an orderly end"), b"");
        let row = server.row(response.record_id().expect("its id"));
        assert_eq!(
            (&*row.method, &*row.path, row.content_length),
            ("POST", "/slow", 3)
        );
        assert_eq!(server.rows(), 1);
        server.wait_for_responses(408, 1);
    }
}

#[test]
fn a_connection_without_a_next_request_is_closed_without_a_response() {
    let server = Server::with(|c| {
        c.text("http.idle_timeout", "200ms");
    });
    let (mut client, response) = send(&server, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    eventually("the close is counted", TIMEOUT, || {
        is_closed_for(&server, "idle_timeout")
    });
}

#[test]
fn a_client_that_does_not_read_its_response_is_disconnected() {
    let server = Server::with(|c| {
        c.text("http.write_timeout", "300ms")
            .set("http.body_bytes_max", 20_000_000);
    });
    let mut client = Client::connect_with(server.addr(), |socket| {
        socket
            .set_recv_buffer_size(4096)
            .expect("a small receive buffer");
    });
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 16000000\r\n\r\n");
    client.send("a".repeat(16_000_000));
    eventually("the close is counted", TIMEOUT, || {
        is_closed_for(&server, "write_timeout")
    });
    assert_eq!(
        server.rows(),
        1,
        "the request was recorded before its response began"
    );
    // Bytes in the kernel's buffers may still arrive.
    assert!(client.read_until_closed().len() < 16_000_000);
}

#[test]
fn a_slow_body_within_its_timeout_is_echoed() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "300ms")
            .text("http.idle_timeout", "300ms");
    });
    let mut client = Client::connect(server.addr());
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
    // Only the body timeout counts now. Wait for longer than the other two.
    let start = Instant::now();
    eventually("the other timeouts have passed", TIMEOUT, || {
        start.elapsed() > Duration::from_millis(600)
    });
    client.send("b");
    assert_eq!(client.response().text(), "ab");
}

#[test]
fn the_header_timeout_does_not_apply_to_a_body() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "200ms");
    });
    let mut client = Client::connect(server.addr());
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    eventually("the body is being read", TIMEOUT, || {
        server.metric("daybook_requests_in_flight", &[]) > 0.0
    });
    // An incomplete head on another connection shows when that timeout has passed.
    let (_other, response) = send(&server, "GET / HTTP/1.1\r\nHo");
    assert_eq!(response.status, 408);
    client.send("1\r\nb\r\n0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "ab"));
}
