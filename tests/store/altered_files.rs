//! A database that others change under a running daybook.

use std::fs;

use crate::common::TIMEOUT;
use crate::common::client::Client;
use crate::common::load::{SentRequest, assert_recorded};
use crate::common::locks::{WriteLock, send_get, wait_until_queued};
use crate::common::server::Server;

/// A server on a file where a trigger does this to records of that path.
fn with_trigger(path: &str, action: &str) -> Server {
    let server = Server::start();
    let trigger = format!(
        "create trigger t before insert on requests when new.path = '{path}' begin select {action}; end"
    );
    server.db().execute_batch(&trigger).expect("a trigger");
    server
}

#[test]
fn a_trigger_that_leaves_rows_out_costs_no_other_request_its_row() {
    let server = with_trigger("/skip", "raise(ignore)");
    assert_eq!(server.get("/skip").status, 503);
    // In one batch, where every id after the missing row would be wrong.
    let lock = WriteLock::take(server.database_path());
    let paths = ["/1", "/2", "/skip", "/3"];
    let clients = paths.map(|path| (path, send_get(&server, path)));
    wait_until_queued(&server, 4);
    drop(lock);
    for (path, mut client) in clients {
        let response = client.response();
        if path == "/skip" {
            assert_eq!((response.status, response.record_id()), (503, None));
        } else {
            assert_eq!(response.status, 200);
            assert_eq!(server.row(response.record_id().expect("its id")).path, path);
        }
    }
    assert_eq!(server.rows(), 3);
}

#[test]
fn a_trigger_that_fails_on_a_row_and_keeps_those_before_it_doubles_none() {
    let server = with_trigger("/fail", "raise(fail, 'not this one')");
    let lock = WriteLock::take(server.database_path());
    let paths = ["/1", "/2", "/fail", "/3"];
    let clients = paths.map(|path| (path, send_get(&server, path)));
    wait_until_queued(&server, 4);
    drop(lock);
    for (path, mut client) in clients {
        let response = client.response();
        let wanted = if path == "/fail" { 503 } else { 200 };
        assert_eq!(response.status, wanted, "{path}");
    }
    assert_eq!(server.rows(), 3);
}

#[test]
fn a_trigger_that_rolls_the_transaction_back_leaves_no_row_of_what_was_refused() {
    let server = with_trigger("/roll-back", "raise(rollback, 'all of it')");
    let lock = WriteLock::take(server.database_path());
    let paths = ["/1", "/roll-back", "/2"];
    let clients = paths.map(|path| (path, send_get(&server, path)));
    wait_until_queued(&server, 3);
    drop(lock);
    let mut requests = Vec::new();
    for (path, mut client) in clients {
        let response = client.response();
        // One that has come into another batch is recorded.
        assert!(response.status == 503 || path != "/roll-back", "{path}");
        requests.push(SentRequest::get(path, &response));
    }
    let response = server.get("/after");
    assert_eq!(response.status, 200);
    requests.push(SentRequest::get("/after", &response));
    assert_recorded(&server.db(), &requests);
}

/// Asks once more, and waits for the end of a process that must not respond.
fn ends_without_an_answer(server: &mut Server, code: i32) -> String {
    let mut client = Client::connect(server.addr());
    client.send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(code));
    server.log()
}

#[test]
fn a_database_that_was_removed_ends_the_process() {
    let mut server = Server::start();
    assert_eq!(server.get("/").status, 200);
    fs::remove_file(server.database_path()).expect("removing");
    let log = ends_without_an_answer(&mut server, 1);
    assert!(log.contains("requests.db was removed"), "{log}");
}

#[test]
fn a_database_that_was_replaced_ends_the_process() {
    let mut server = Server::start();
    assert_eq!(server.get("/").status, 200);
    let restored = server.dir().join("restored.db");
    fs::copy(server.database_path(), &restored).expect("copying");
    fs::rename(&restored, server.database_path()).expect("replacing");
    let log = ends_without_an_answer(&mut server, 1);
    assert!(
        log.contains("requests.db was replaced by another file"),
        "{log}"
    );
}

/// Overwrites that page of the file, which is in no log any more.
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
    // What a page of garbage does to whoever reads it: the index is read by every insert.
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
    let log = ends_without_an_answer(&mut server, 78);
    assert!(log.contains("the database is damaged"), "{log}");
}

#[test]
fn a_database_whose_first_page_was_damaged_ends_the_process_for_good() {
    let mut server = Server::start();
    assert_eq!(server.get("/").status, 200);
    // Another one's commit: what daybook remembers of the first page is out of date.
    server
        .db()
        .execute_batch("create table another (text)")
        .expect("another table");
    damage(&server, 1);
    let log = ends_without_an_answer(&mut server, 78);
    assert!(log.contains("the database is damaged"), "{log}");
}
