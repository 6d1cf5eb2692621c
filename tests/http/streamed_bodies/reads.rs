//! The parts that a handler reads, and the responses to wrong or unfinished bodies.

use std::sync::mpsc;

use super::{Event, chunked, start, status_and_text, with_length, written};
use crate::common::client::Client;
use crate::common::{TIMEOUT, eventually};

#[test]
fn a_handler_reads_a_streamed_body_as_it_arrives() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    // The first part is read before the second is sent. The connection is kept alive.
    client.send(with_length("/", 10));
    for _ in 0..2 {
        client.send("hello");
        assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    }
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::End));
    assert_eq!(status_and_text(&client.response()), (200, "10"));

    client.send(chunked("/"));
    for _ in 0..2 {
        client.send("3\r\nabc\r\n");
        assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(3)));
    }
    client.send("0\r\n\r\n");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::End));
    assert_eq!(status_and_text(&client.response()), (200, "6"));

    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(status_and_text(&client.response()), (200, "0"));
    let root = |length| ("/".to_owned(), length);
    assert_eq!(
        written(&server),
        (vec![root(10), root(6), root(0)], vec![10, 6, 0])
    );
}

#[test]
fn a_streamed_body_beyond_its_limit_is_413() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/", 3000).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(client.response().status, 100);
    client.send("a".repeat(3000));
    assert_eq!(status_and_text(&client.response()), (200, "3000"));

    // An announced length: before 100 Continue, and before the handler.
    let read_before = events.try_iter().count();
    assert!(read_before > 0);
    client.send(with_length("/", 3001).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(client.response().status, 413);
    assert_eq!(events.try_recv(), Err(mpsc::TryRecvError::Empty));

    let mut client = Client::connect(&server.listen);
    client.send(chunked("/"));
    client.send(format!(
        "bb8\r\n{}\r\n1\r\na\r\n0\r\n\r\n",
        "a".repeat(3000)
    ));
    let response = client.response();
    assert_eq!(response.status, 413);
    assert!(response.closes_connection());
    assert_eq!(events.try_iter().last(), Some(Event::Error));
    let (records, uploads) = written(&server);
    let lengths: Vec<_> = records.into_iter().map(|(_, length)| length).collect();
    assert_eq!((lengths, uploads), (vec![3000, 0, 3001], vec![3000]));
}

#[test]
fn a_client_that_disconnects_leaves_no_row() {
    let (server, events) = start(&[]);
    for head in [with_length("/", 10), chunked("/")] {
        let mut client = Client::connect(&server.listen);
        client.send(head + "5\r\nhello\r\n"[..].get(..8).expect("a part"));
        assert!(matches!(events.recv_timeout(TIMEOUT), Ok(Event::Data(_))));
        drop(client);
        let error = eventually("the handler reads an error", TIMEOUT, || {
            events
                .try_iter()
                .find(|event| !matches!(event, Event::Data(_)))
        });
        assert_eq!(error, Event::Error);
    }
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/", 1) + "a");
    assert_eq!(client.response().record_id(), Some(1));
    assert_eq!(written(&server), (vec![("/".to_owned(), 1)], vec![1]));
}

#[test]
fn malformed_framing_of_a_streamed_body_is_400() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    client.send(chunked("/") + "5\r\nhello\r\n");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    client.send("x\r\n");
    let response = client.response();
    assert_eq!(response.status, 400, "{}", response.head);
    assert_eq!(written(&server), (vec![("/".to_owned(), 5)], vec![]));
}

#[test]
fn a_streamed_body_that_stalls_is_408() {
    let (server, events) = start(&[("http.body_timeout", "200ms")]);
    for head in [with_length("/", 10), chunked("/")] {
        let mut client = Client::connect(&server.listen);
        client.send(head + "5\r\nhello\r\n"[..].get(..8).expect("a part"));
        let response = client.response();
        assert_eq!(response.status, 408, "{}", response.head);
        assert!(response.record_id().is_some());
        assert_eq!(events.try_iter().last(), Some(Event::Error));
    }
}

#[test]
fn a_response_before_the_end_of_a_streamed_body_closes_the_connection() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/one-part", 10) + "hello");
    let response = client.response();
    assert_eq!(status_and_text(&response), (409, "5"));
    assert!(response.closes_connection());
    // The client may still send the rest.
    client.send("world");
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");

    // A task that kept the body reads an error, not an end.
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/keeps", 10));
    assert_eq!(client.response().status, 200);
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Error));
    let records = vec![("/one-part".to_owned(), 5), ("/keeps".to_owned(), 0)];
    assert_eq!(written(&server), (records, vec![]));
}
