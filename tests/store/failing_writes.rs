//! Handlers' writes that fail: the response, and the effect on other requests.

use crate::common::client::{Client, get as http_get};
use crate::common::in_process::InProcessServer;
use crate::common::locks::WriteLock;
use crate::common::notes::{
    assert_nothing_was_written, post_text, records_and_notes, start_with_notes, strings,
};

#[test]
fn a_write_that_fails_is_undone_and_its_request_is_recorded() {
    let server = start_with_notes(&[]);
    assert_eq!(post_text(&server, "/notes", "same").status, 200);
    let response = post_text(&server, "/notes", "same");
    assert_eq!((response.status, response.text()), (409, "the note exists"));
    assert!(response.record_id().is_some());
    assert_eq!(
        records_and_notes(&server),
        (strings(&["/notes", "/notes"]), strings(&["same"]))
    );
}

#[test]
fn a_write_that_panics_is_undone_and_is_500_with_a_row() {
    let server = start_with_notes(&[]);
    let response = http_get(&server.listen, "/panic-in-write");
    assert_eq!(response.status, 500);
    assert!(response.record_id().is_some());
    assert_eq!(
        records_and_notes(&server),
        (strings(&["/panic-in-write"]), strings(&[]))
    );
}

#[test]
fn a_write_that_the_store_rejects_is_503_whatever_the_handler_responds() {
    let server = start_with_notes(&[("commit.deadline", "100ms")]);
    let lock = WriteLock::take(server.database_path());
    let response = post_text(&server, "/notes", "never");
    assert_eq!(response.status, 503, "{}", response.head);
    assert!(response.head.contains("retry-after"), "{}", response.head);
    drop(lock);
    assert_nothing_was_written(&server);
}

#[test]
fn a_write_that_commits_gets_no_response_and_the_server_goes_on() {
    let server = start_with_notes(&[]);
    for path in ["/commit", "/commit-begin"] {
        let mut client = Client::connect(&server.listen);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!(client.read_until_closed(), b"", "{path} got a response");
        assert_eq!(post_text(&server, "/notes", path).status, 200);
    }
}

#[test]
fn a_transaction_that_cannot_be_rolled_back_ends_the_server_without_a_response() {
    let server = start_with_notes(&[]);
    let mut client = Client::connect(&server.listen);
    client.send("GET /denies-the-rollback HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(client.read_until_closed(), b"");
    let error = server.stop_uncleanly();
    assert!(error.contains("could not be rolled back"), "{error}");
}

#[test]
fn a_transaction_that_cannot_begin_is_503_and_the_server_goes_on() {
    let server = start_with_notes(&[]);
    let status = |path| http_get(&server.listen, path).status;
    assert_eq!(status("/denies-the-next-begin"), 200);
    assert_eq!(post_text(&server, "/notes", "never").status, 503);
    assert_eq!(post_text(&server, "/notes", "after").status, 200);
    let (records, notes) = records_and_notes(&server);
    assert_eq!(records, ["/denies-the-next-begin", "/notes"]);
    assert_eq!(notes, ["after"]);
}

/// The statuses of GETs of `/a`, of `path` and of `/b`, whose records were all queued when the writer took a batch.
fn ask_together(server: &InProcessServer, path: &str) -> [u16; 3] {
    let lock = WriteLock::take(server.database_path());
    std::thread::scope(|scope| {
        let asked = ["/a", path, "/b"]
            .map(|path| scope.spawn(move || http_get(&server.listen, path).status));
        server.wait_until_queued(3);
        drop(lock);
        asked.map(|response| response.join().expect("a response"))
    })
}

#[test]
fn a_write_that_rolls_the_transaction_back_is_503_and_fails_no_other_request() {
    let server = start_with_notes(&[]);
    for path in ["/fills-the-disk", "/rollback"] {
        assert_eq!(ask_together(&server, path), [404, 503, 404], "{path}");
    }
    let (mut records, notes) = records_and_notes(&server);
    records.sort();
    assert_eq!(
        (records, notes),
        (strings(&["/a", "/a", "/b", "/b"]), vec![])
    );
    assert_eq!(http_get(&server.listen, "/rollback-begin").status, 503);
    assert_eq!(post_text(&server, "/notes", "after").status, 200);
}

#[test]
fn a_write_that_breaks_a_deferred_constraint_fails_no_other_request() {
    let server = start_with_notes(&[]);
    assert_eq!(ask_together(&server, "/orphan"), [404, 503, 404]);
    let (mut records, _) = records_and_notes(&server);
    records.sort();
    assert_eq!(records, ["/a", "/b"]);
}
