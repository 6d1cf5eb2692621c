//! Memory for request heads: one bound for all connections together, and it is freed again.

use std::io::ErrorKind;
use std::time::Duration;

use crate::common::client::{Client, Response};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

const BYTES_MAX: usize = 1024 * 1024;

fn server() -> Server {
    Server::with(|c| {
        c.set("http.heads_bytes_in_flight_max", BYTES_MAX)
            .text("http.header_timeout", "60s");
    })
}

fn connect(server: &Server, bytes: impl AsRef<[u8]>) -> Client {
    let mut client = Client::connect(server.addr());
    client.send(bytes);
    client
}

/// A head of about this many bytes. `end` follows its fields.
fn head(method: &str, bytes: usize, end: &str) -> String {
    let filling = "a".repeat(bytes);
    format!("{method} /large HTTP/1.1\r\nHost: h\r\nX-Filling: {filling}\r\n{end}")
}

fn bytes_in_flight(server: &Server) -> f64 {
    server.metric("daybook_heads_bytes_in_flight", &[])
}

fn refused_for_memory(server: &Server) -> f64 {
    server.metric("daybook_records_rejected_total", &[("reason", "memory")])
}

fn assert_refused_for_memory(response: &Response) {
    assert_eq!(response.status, 503, "{}", response.head);
    assert_eq!(response.record_id(), None);
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.header("connection"), Some("close"));
    assert!(response.text().contains("memory"), "{}", response.text());
}

/// Many connections that each send `bytes`, more than the budget allows. Returns the oldest, and the others.
fn exceed_budget(server: &Server, bytes: &str) -> (Client, Vec<Client>) {
    let oldest = connect(server, bytes);
    eventually("it is counted", TIMEOUT, || {
        bytes_in_flight(server) >= 30_000.0
    });
    let others = (0..100).map(|_| connect(server, bytes)).collect();
    (oldest, others)
}

#[test]
fn incomplete_requests_are_bounded_together_and_the_oldest_is_refused_first() {
    let sized = "Content-Length: 5\r\n\r\nhel";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhel";
    for end in ["", sized, chunked] {
        let server = server();
        let (mut oldest, others) = exceed_budget(&server, &head("POST", 30_000, end));
        assert_refused_for_memory(&oldest.response());
        assert_eq!(oldest.read_to_end().expect("an orderly end"), b"");
        eventually("most of the others are refused", TIMEOUT, || {
            refused_for_memory(&server) > 60.0
        });
        assert!(bytes_in_flight(&server) <= BYTES_MAX as f64);
        assert_eq!(server.get("/small").status, 200);
        drop(others);
        eventually("all of it is freed", TIMEOUT, || {
            bytes_in_flight(&server) == 0.0
        });
        assert_eq!(server.rows(), 1);
    }
}

#[test]
fn idle_connections_that_have_sent_large_heads_are_closed_to_free_memory() {
    let server = server();
    let large = head("GET", 30_000, "\r\n");
    let mut clients: Vec<_> = (0..100)
        .map(|_| {
            let mut client = connect(&server, &large);
            assert_eq!(client.response().status, 200);
            client
        })
        .collect();
    let closed = || server.metric("daybook_connections_closed_total", &[("reason", "memory")]);
    eventually("most of them are closed", TIMEOUT, || closed() > 60.0);
    assert!(bytes_in_flight(&server) <= BYTES_MAX as f64);
    // The newest connection stays open.
    let newest = clients.last_mut().expect("the last one");
    newest.send(&large);
    assert_eq!(newest.response().status, 200);
    assert_eq!(clients[0].read_to_end().expect("an orderly end"), b"");
    assert_eq!(server.rows(), 101);
}

#[test]
fn ordinary_requests_take_nothing_from_the_budget() {
    let server = server();
    let mut client = Client::connect(server.addr());
    for _ in 0..3 {
        client.send(head("GET", 2000, "\r\n"));
        assert_eq!(client.response().status, 200);
        assert_eq!(bytes_in_flight(&server), 0.0);
    }
}

#[test]
fn memory_for_many_clients_is_returned_to_the_system() {
    let server = Server::with(|c| {
        c.text("http.header_timeout", "60s");
    });
    let resident = || server.metric("process_resident_memory_bytes", &[]);
    let before = resident();
    let clients: Vec<_> = (0..1000)
        .map(|_| connect(&server, head("GET", 30_000, "")))
        .collect();
    eventually("all of it has arrived", TIMEOUT, || {
        bytes_in_flight(&server) >= 30_000_000.0
    });
    let peak = resident();
    assert!(peak > before + 30e6, "{peak} bytes after {before}");
    drop(clients);
    eventually("most of it is returned", Duration::from_secs(60), || {
        resident() < before + (peak - before) / 4.0
    });
}

#[test]
fn a_client_that_is_refused_and_sends_on_reads_its_response() {
    let server = server();
    let (mut oldest, _others) = exceed_budget(&server, &head("GET", 30_000, ""));
    eventually("the oldest is refused", TIMEOUT, || {
        refused_for_memory(&server) > 0.0
    });
    match oldest.send_in_pieces(&[b'a'; 200_000], 5000) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::BrokenPipe),
    }
    assert_refused_for_memory(&oldest.response());
}
