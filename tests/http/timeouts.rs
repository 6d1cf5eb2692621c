//! Every time-out: what running into it is answered with, whether there is a row, and which metric counts it.

use std::time::{Duration, Instant};

use crate::common::client::{Client, Response};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

fn ask(server: &Server, request: &str) -> (Client, Response) {
    let mut client = Client::connect(server.addr());
    client.send(request);
    let response = client.response();
    (client, response)
}

fn closed_for(server: &Server, reason: &str) -> bool {
    server.metric("daybook_connections_closed_total", &[("reason", reason)]) == 1.0
}

#[test]
fn a_head_that_does_not_end_in_time_is_408() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "200ms");
    });
    let (mut client, response) = ask(&server, "GET /slow HTTP/1.1\r\nHo");
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
fn a_second_head_that_does_not_end_in_time_is_408() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "200ms");
    });
    let (mut client, response) = ask(&server, "GET / HTTP/1.1\r\nHost: h\r\n\r\nG");
    assert_eq!(response.status, 200);
    assert_eq!(client.response().status, 408);
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    assert_eq!(server.rows(), 1);
}

#[test]
fn a_connection_on_which_nothing_is_sent_is_closed_in_silence() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "200ms");
    });
    let mut client = Client::connect(server.addr());
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    eventually("the close is counted", TIMEOUT, || {
        closed_for(&server, "header_timeout")
    });
    assert_eq!(server.rows(), 0);
}

#[test]
fn a_body_that_does_not_end_in_time_is_408() {
    let chunked =
        "POST /slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let sized = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc";
    for request in [sized, chunked] {
        let server = Server::with(|c| {
            c.text("http.body_timeout", "200ms");
        });
        let (mut client, response) = ask(&server, request);
        assert_eq!(response.status, 408, "{}", response.head);
        assert!(
            !response.contains("abc"),
            "nothing of it is echoed: {}",
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
fn a_connection_without_a_next_request_is_closed_in_silence() {
    let server = Server::with(|c| {
        c.text("http.idle_timeout", "200ms");
    });
    let (mut client, response) = ask(&server, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    eventually("the close is counted", TIMEOUT, || {
        closed_for(&server, "idle_timeout")
    });
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
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
        closed_for(&server, "write_timeout")
    });
    assert_eq!(
        server.rows(),
        1,
        "the request was recorded before its response began"
    );
    // What the kernel had taken may still arrive.
    assert!(client.read_until_closed().len() < 16_000_000);
}

#[test]
fn a_body_that_comes_slowly_but_in_time_is_echoed() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "300ms")
            .text("http.idle_timeout", "300ms");
    });
    let mut client = Client::connect(server.addr());
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
    // Only the body's own time counts now: let the other two pass.
    let begun = Instant::now();
    eventually("the other times have passed", TIMEOUT, || {
        begun.elapsed() > Duration::from_millis(600)
    });
    client.send("b");
    assert_eq!(client.response().text(), "ab");
}

#[test]
fn the_time_for_a_head_does_not_count_for_a_body() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "200ms");
    });
    let mut client = Client::connect(server.addr());
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    eventually("the body is being read", TIMEOUT, || {
        server.metric("daybook_requests_in_flight", &[]) > 0.0
    });
    // A head that does not end tells when that time is over.
    let (_slow, response) = ask(&server, "GET / HTTP/1.1\r\nHo");
    assert_eq!(response.status, 408);
    client.send("1\r\nb\r\n0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "ab"));
}
