//! A database that other programs change while daybook runs: triggers, and damage.

use std::fs;

use crate::common::TIMEOUT;
use crate::common::client::{Client, Response};
use crate::common::load::{SentRequest, assert_recorded};
use crate::common::locks::{WriteLock, send_get, wait_until_queued};
use crate::common::server::Server;

/// A server on a file with a trigger that takes this action on records of `/bad`.
fn with_trigger(action: &str) -> Server {
    let server = Server::start();
    let trigger = format!(
        "create trigger t before insert on requests when new.path = '/bad' begin select {action}; end"
    );
    server.db().execute_batch(&trigger).expect("a trigger");
    server
}

/// The responses to these requests, whose records were all queued when the writer took a batch.
fn ask_together<const N: usize>(
    server: &Server,
    paths: [&'static str; N],
) -> [(&'static str, Response); N] {
    let lock = WriteLock::take(server.database_path());
    let clients = paths.map(|path| (path, send_get(server, path)));
    wait_until_queued(server, N as u32);
    drop(lock);
    clients.map(|(path, mut client)| (path, client.response()))
}

#[test]
fn a_trigger_that_skips_or_fails_a_row_costs_no_other_request_its_row() {
    // `fail` keeps the rows that the statement has already inserted.
    for action in ["raise(ignore)", "raise(fail, 'not this one')"] {
        let server = with_trigger(action);
        assert_eq!(server.get("/bad").status, 503);
        // In one batch, where every id after the missing row could be wrong.
        for (path, response) in ask_together(&server, ["/1", "/2", "/bad", "/3"]) {
            if path == "/bad" {
                assert_eq!((response.status, response.record_id()), (503, None));
            } else {
                assert_eq!(response.status, 200, "{action}: {path}");
                assert_eq!(server.row(response.record_id().expect("its id")).path, path);
            }
        }
        assert_eq!(server.rows(), 3, "{action}");
    }
}

#[test]
fn a_trigger_that_rolls_the_transaction_back_leaves_no_row_of_a_rejected_request() {
    let server = with_trigger("raise(rollback, 'all of it')");
    let mut requests = Vec::new();
    for (path, response) in ask_together(&server, ["/1", "/bad", "/2"]) {
        // The others are recorded if they are in another batch.
        if path == "/bad" {
            assert_eq!(response.status, 503);
        }
        requests.push(SentRequest::get(path, &response));
    }
    let response = server.get("/after");
    assert_eq!(response.status, 200);
    requests.push(SentRequest::get("/after", &response));
    assert_recorded(&server.db(), &requests);
}

/// Sends a request that gets no response, because the process must end.
fn ends_as_damaged(server: &mut Server) {
    let mut client = Client::connect(server.addr());
    client.send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(78));
    let log = server.log();
    assert!(log.contains("the database is damaged"), "{log}");
}

/// Overwrites a page of the database, after a checkpoint has emptied the WAL.
fn damage(server: &Server, page: i64) {
    server
        .db()
        .execute_batch("pragma wal_checkpoint(truncate)")
        .expect("a checkpoint");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(server.database_path())
        .expect("the file");
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 4096], (page as u64 - 1) * 4096)
        .expect("damage");
}

#[test]
fn a_database_that_was_damaged_ends_the_process_for_good() {
    let mut server = Server::start();
    assert_eq!(server.get("/").status, 200);
    // Every insert reads this index.
    server
        .db()
        .execute_batch("create index by_path on requests (path)")
        .expect("an index");
    let page = server
        .db()
        .query_row(
            "select rootpage from sqlite_schema where name = 'by_path'",
            [],
            |row| row.get(0),
        )
        .expect("its page");
    damage(&server, page);
    ends_as_damaged(&mut server);
}

#[test]
fn a_database_whose_first_page_was_damaged_ends_the_process_for_good() {
    let mut server = Server::start();
    assert_eq!(server.get("/").status, 200);
    // Another connection's commit, so that daybook has to read the first page again.
    server
        .db()
        .execute_batch("create table another (text)")
        .expect("another table");
    damage(&server, 1);
    ends_as_damaged(&mut server);
}
