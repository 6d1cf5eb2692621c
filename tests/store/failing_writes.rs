//! Writes of a handler that come to nothing: what is answered, and who else suffers.

use crate::common::client::{Client, get as http_get};
use crate::common::locks::WriteLock;
use crate::common::notes::{post_text, records_and_notes, start_with_notes, strings};

#[test]
fn a_write_that_fails_leaves_nothing_and_its_request_is_recorded() {
    let server = start_with_notes(&[]);
    assert_eq!(post_text(&server, "/notes", "same").status, 200);
    let response = post_text(&server, "/notes", "same");
    assert_eq!(
        (response.status, response.text()),
        (409, "there is such a note")
    );
    assert!(response.record_id().is_some());
    assert_eq!(
        records_and_notes(&server),
        (strings(&["/notes", "/notes"]), strings(&["same"]))
    );
}

#[test]
fn a_write_that_panics_leaves_nothing_and_is_500_with_a_row() {
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
fn a_write_that_the_store_refuses_is_503_whatever_the_handler_says() {
    let server = start_with_notes(&[("COMMIT__DEADLINE", "100ms")]);
    let lock = WriteLock::take(&server.database_path());
    let response = post_text(&server, "/notes", "never");
    assert_eq!(response.status, 503, "{}", response.head);
    assert!(response.head.contains("retry-after"), "{}", response.head);
    drop(lock);
    assert_eq!(post_text(&server, "/notes", "after").status, 200);
    assert_eq!(
        records_and_notes(&server),
        (strings(&["/notes"]), strings(&["after"]))
    );
}

#[test]
fn a_write_that_commits_is_not_answered_and_the_server_goes_on() {
    let server = start_with_notes(&[]);
    for path in ["/commit", "/commit-begin"] {
        let mut client = Client::connect(&server.listen);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert_eq!(client.read_until_closed(), b"", "{path} was answered");
        assert_eq!(post_text(&server, "/notes", path).status, 200);
    }
}

#[test]
fn a_write_that_has_the_transaction_rolled_back_is_503_and_takes_nobody_along() {
    let server = start_with_notes(&[]);
    for path in ["/fills-the-disk", "/rollback"] {
        let lock = WriteLock::take(&server.database_path());
        std::thread::scope(|scope| {
            let listen = &server.listen;
            let asked =
                ["/a", path, "/b"].map(|path| scope.spawn(move || http_get(listen, path).status));
            server.wait_until_queued(3);
            drop(lock);
            let statuses = asked.map(|response| response.join().expect("a response"));
            assert_eq!(statuses, [404, 503, 404], "{path}");
        });
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
fn a_write_that_breaks_a_deferred_constraint_takes_nobody_along() {
    let server = start_with_notes(&[]);
    let lock = WriteLock::take(&server.database_path());
    std::thread::scope(|scope| {
        let paths = ["/a", "/orphan", "/b"];
        let asked = paths.map(|path| scope.spawn(|| http_get(&server.listen, path).status));
        server.wait_until_queued(3);
        drop(lock);
        assert_eq!(
            asked.map(|response| response.join().expect("a response")),
            [404, 503, 404]
        );
    });
    let (mut records, _) = records_and_notes(&server);
    records.sort();
    assert_eq!(records, ["/a", "/b"]);
}
