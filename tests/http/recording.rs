//! What a response proves: a row, on disk before the response could be read.

use std::time::{Duration, Instant};

use crate::common::client::{Client, send};
use crate::common::db;
use crate::common::load::{Load, SentRequest, assert_recorded};
use crate::common::locks::{WriteLock, WriteTransaction, queue_gets, send_get, wait_until_queued};
use crate::common::seed;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

#[test]
fn an_answer_waits_for_the_write_lock_and_finds_its_row_there() {
    let server = Server::start();
    let other = server.db();
    let lock = WriteLock::take(server.database_path());
    let mut client = send_get(&server, "/held");
    wait_until_queued(&server, 1);
    assert!(client.is_silent(), "answered before its commit");
    assert_eq!(db::count(&other), 0);
    drop(lock);
    let response = client.response();
    let row = db::row(&other, response.record_id().expect("its id"));
    assert_eq!(
        (response.status, row.expect("its row").path.as_str()),
        (200, "/held")
    );
}

#[test]
fn an_answer_waits_for_a_foreign_writer_and_finds_its_row_there() {
    let server = Server::start();
    let other = server.db();
    let transaction = WriteTransaction::begin(server.database_path());
    let mut client = send_get(&server, "/held");
    wait_until_queued(&server, 1);
    assert!(client.is_silent(), "answered before its commit");
    drop(transaction);
    let response = client.response();
    let row = db::row(&other, response.record_id().expect("its id"));
    assert_eq!(
        (response.status, row.expect("its row").path.as_str()),
        (200, "/held")
    );
}

#[test]
fn every_answer_under_load_finds_its_row_there() {
    let server = Server::start();
    let load = Load::start(server.addr(), "beside", 8);
    let (other, mut client) = (server.db(), Client::connect(server.addr()));
    let mut requests = Vec::new();
    for n in 0..200 {
        let path = format!("/{n}");
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let response = client.response();
        let id = response.record_id().expect("its id");
        // Read at once: a server that responds before it commits is caught here.
        let row =
            db::row(&other, id).unwrap_or_else(|| panic!("{id} is not there when its response is"));
        assert_eq!(row.path, path);
        requests.push(SentRequest::get(&path, &response));
    }
    let beside = load.stop();
    assert!(beside.len() > 100, "no load: {} requests", beside.len());
    requests.extend(beside);
    assert_recorded(&other, &requests);
}

#[test]
fn requests_from_many_connections_each_have_their_own_row() {
    let server = Server::start();
    let load = Load::start(server.addr(), "many", 32);
    load.wait_for(1000, TIMEOUT * 3);
    let requests = load.stop();
    assert!(
        requests.iter().all(|e| e.status() == Some(200)),
        "{requests:?}"
    );
    assert_recorded(&server.db(), &requests);
    let committed = server.metric("daybook_records_committed_total", &[]);
    assert_eq!(
        usize::try_from(server.rows()).expect("a count"),
        requests.len()
    );
    assert_eq!(committed.to_string(), requests.len().to_string());
}

#[test]
fn what_waits_together_is_committed_together() {
    let server = Server::start();
    let lock = WriteLock::take(server.database_path());
    let clients = queue_gets(&server, 10);
    drop(lock);
    for mut client in clients {
        assert_eq!(client.response().status, 200);
    }
    eventually("the batch is counted", TIMEOUT, || {
        server.metric("daybook_commit_batch_records_sum", &[]) == 10.0
    });
    // Two, where the last of them arrived at the very moment of the release.
    assert!(server.metric("daybook_commit_batch_records_count", &[]) <= 2.0);
}

#[test]
fn a_batch_is_no_larger_than_configured() {
    let server = Server::with(|c| {
        c.set("commit.batch_records_max", 2);
    });
    let lock = WriteLock::take(server.database_path());
    let clients = queue_gets(&server, 5);
    drop(lock);
    for mut client in clients {
        assert_eq!(client.response().status, 200);
    }
    eventually("all batches are counted", TIMEOUT, || {
        server.metric("daybook_commit_batch_records_sum", &[]) == 5.0
    });
    assert!(server.metric("daybook_commit_batch_records_count", &[]) >= 3.0);
}

#[test]
fn every_method_is_recorded_and_ids_rise() {
    let server = Server::start();
    let mut last = 0;
    for method in [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "PROPFIND",
        "brew",
        "X-!#$%&'*+.^_`|~9",
    ] {
        let request = format!(
            "{method} /m HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
        );
        let response = send(server.addr(), request);
        assert_eq!(response.status, 200, "{method}");
        assert_eq!(
            response.text(),
            if method == "HEAD" { "" } else { "abc" },
            "{method}"
        );
        let id = response.record_id().expect("its id");
        assert!(id > last, "{id} after {last}");
        last = id;
        let row = server.row(id);
        assert_eq!(
            (row.method.as_str(), row.path.as_str(), row.content_length),
            (method, "/m", 3)
        );
    }
}

#[test]
fn odd_paths_are_recorded_as_sent_without_their_query() {
    let server = Server::start();
    for (target, path) in [
        ("/", "/"),
        ("/?a=b", "/"),
        ("/a%20b?c?d=/e", "/a%20b"),
        ("//double//", "//double//"),
        ("/../..//.", "/../..//."),
        ("/%00%ff%2e%2E/%zz", "/%00%ff%2e%2E/%zz"),
        ("/a;b=c,d:e@f!$&'()*+~", "/a;b=c,d:e@f!$&'()*+~"),
        ("http://elsewhere.example/abs?q", "/abs"),
        ("http://elsewhere.example", "/"),
    ] {
        let response = send(
            server.addr(),
            format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"),
        );
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(
            server.row(response.record_id().expect("its id")).path,
            path,
            "{target}"
        );
    }
    let response = send(server.addr(), "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    let row = server.row(response.record_id().expect("its id"));
    assert_eq!((response.status, row.path.as_str()), (200, "*"));
}

#[test]
fn the_timestamp_is_when_the_head_had_arrived() {
    let server = Server::start();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.expect("a clock past 1970").as_secs_f64()
    };
    let lock = WriteLock::take(server.database_path());
    let before = now();
    let mut client = send_get(&server, "/");
    wait_until_queued(&server, 1);
    let queued = now();
    let start = Instant::now();
    eventually("some time has passed", TIMEOUT, || {
        start.elapsed() > Duration::from_millis(100)
    });
    drop(lock);
    let row = server.row(client.response().record_id().expect("its id"));
    assert!(
        (before..=queued).contains(&row.timestamp),
        "{before} <= {} <= {queued}",
        row.timestamp
    );
}

#[test]
fn a_client_that_is_gone_before_its_body_ended_leaves_no_row() {
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    client.send("POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    eventually("its request is open", TIMEOUT, || {
        server.metric("daybook_requests_in_flight", &[]) == 1.0
    });
    drop(client);
    eventually("its request is gone", TIMEOUT, || {
        server.metric("daybook_requests_in_flight", &[]) == 0.0
    });
    assert_eq!(server.get("/whole").status, 200);
    assert_eq!(server.rows(), 1);
}

#[test]
fn a_server_that_does_not_record_answers_without_a_row() {
    let server = Server::with(|c| {
        c.set("record", false);
    });
    let response = send(
        server.addr(),
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert_eq!(
        (response.status, response.record_id(), response.text()),
        (200, None, "abc")
    );
    assert_eq!(server.rows(), 0);
    assert_eq!(server.metric("daybook_recording", &[]), 0.0);
    let is_loud =
        |line: &str| (line.contains("WARN") || line.contains("ERROR")) && line.contains("record");
    assert!(server.log().lines().any(is_loud), "no warning in the log");
}

#[test]
fn the_seeds_own_file_is_adopted_with_its_rows() {
    let server = Server::with(|c| seed::create_with_rows(&c.database()));
    assert_eq!(server.rows(), 3);
    assert_eq!(server.row(2).path, "/old/2");
    let response = server.get("/new");
    assert_eq!(
        (response.record_id(), server.row(4).path.as_str()),
        (Some(4), "/new")
    );
    let id: i64 = server
        .db()
        .query_row("pragma application_id", [], |row| row.get(0))
        .expect("reading the application's id");
    assert_eq!(id, 0x6461_7962);
}

#[test]
fn a_seeds_file_with_more_indexes_and_no_rows_is_adopted() {
    let server = Server::with(|c| {
        let seeds = seed::create(&c.database());
        seeds
            .execute_batch("create index by_path on requests(path); create index by_time on requests(timestamp, id)")
            .expect("creating indexes");
    });
    assert_eq!(server.get("/first").record_id(), Some(1));
}
