//! A stop during a streamed body.

use std::sync::mpsc;

use tempfile::TempDir;

use super::{Event, start, status_and_text, with_length};
use crate::common::client::{Client, refuses_connections};
use crate::common::in_process::InProcessServer;
use crate::common::{TIMEOUT, db, eventually};

/// Keeps the database of a server that has stopped.
fn start_with_database_in(
    directory: &TempDir,
    grace: &str,
) -> (InProcessServer, mpsc::Receiver<Event>) {
    let path = directory.path().join("requests.db");
    let path = path.to_str().expect("text");
    start(&[("database.path", path), ("shutdown.grace", grace)])
}

fn kept_lengths(directory: &TempDir) -> Vec<i64> {
    let database = db::open(&directory.path().join("requests.db"));
    let mut records = database
        .prepare("select content_length from requests")
        .expect("a query");
    let lengths = records.query_map([], |row| row.get(0));
    lengths.and_then(Iterator::collect).expect("records")
}

#[test]
fn a_stop_waits_for_a_streamed_body_within_the_grace_period() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, events) = start_with_database_in(&directory, "30s");
    let listen = server.listen.clone();
    let mut client = Client::connect(&listen);
    client.send(with_length("/", 10) + "hello");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    // Asserts that the server has drained.
    let stopping = std::thread::spawn(move || drop(server));
    eventually("it accepts no more connections", TIMEOUT, || {
        refuses_connections(&listen)
    });
    client.send("world");
    assert_eq!(status_and_text(&client.response()), (200, "10"));
    stopping.join().expect("an orderly end");
    assert_eq!(kept_lengths(&directory), [10]);
}

#[test]
fn a_streamed_body_beyond_the_grace_period_is_503_without_a_row() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, events) = start_with_database_in(&directory, "100ms");
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/", 10) + "hello");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    let stopping = std::thread::spawn(move || server.stop_uncleanly());
    let response = client.response();
    assert_eq!((response.status, response.record_id()), (503, None));
    stopping.join().expect("an end");
    assert_eq!(kept_lengths(&directory), Vec::<i64>::new());
}
