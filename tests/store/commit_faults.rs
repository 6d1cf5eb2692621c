//! Commits that fail, are late or never begin: 503 and no row, and the process goes on.

use std::time::{Duration, Instant};

use super::{wait_until_ready, wait_until_unready};
use crate::common::client::Response;
use crate::common::db;
use crate::common::disk::SmallDisk;
use crate::common::load::{SentRequest, assert_recorded, assert_sound};
use crate::common::locks::{
    WriteLock, WriteTransaction, freeze, queue_gets, send_get, wait_until_queued,
};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

/// A 503 with a retry-after and a reason of one line.
fn is_rejected(response: &Response) {
    assert_eq!(response.status, 503, "{}", response.head);
    let retry_after = response.header("retry-after").expect("retry-after");
    assert!(
        retry_after.parse::<u32>().is_ok(),
        "retry-after: {retry_after}"
    );
    assert_eq!(response.record_id(), None);
    assert_eq!(
        response.text().trim_end().lines().count(),
        1,
        "{}",
        response.text()
    );
}

fn rejected(server: &Server, reason: &str) -> f64 {
    server.metric("daybook_records_rejected_total", &[("reason", reason)])
}

fn with_deadline(deadline: &str) -> Server {
    Server::with(|c| {
        c.text("commit.deadline", deadline);
    })
}

#[test]
fn a_full_disk_is_503_until_there_is_space_again() {
    let disk = SmallDisk::mount(4 << 20);
    let server = Server::with(|c| {
        c.text("database.path", disk.path().join("requests.db").display());
    });
    let mut requests = Vec::new();
    let mut ask = |n: u32| {
        // A long path, so that every row takes a page of its own.
        let path = format!("/{n}/{}", "x".repeat(5000));
        let response = server.get(&path);
        requests.push(SentRequest::get(&path, &response));
        response
    };
    assert_eq!(ask(0).status, 200);
    disk.fill();
    let refused = (1..500)
        .map(&mut ask)
        .find(|response| response.status != 200);
    is_rejected(&refused.expect("a full disk"));
    // It goes on after the first failure.
    for n in 500..510 {
        let response = ask(n);
        assert!(matches!(response.status, 200 | 503), "{}", response.head);
    }
    disk.free();
    let mut n = 1000;
    eventually("it records again", TIMEOUT, || {
        n += 1;
        ask(n).status == 200
    });
    assert!(rejected(&server, "storage") >= 1.0);
    assert_eq!(server.get_admin("/livez").status, 200);
    assert_recorded(&server.db(), &requests);
    assert_sound(&server.db());
}

#[test]
fn a_record_that_cannot_be_written_does_not_fail_its_batch() {
    let server = Server::start();
    assert_eq!(server.get("/2").status, 200);
    server
        .db()
        .execute_batch("create unique index poison on requests(path)")
        .expect("creating the index");
    let lock = WriteLock::take(server.database_path());
    let mut clients = queue_gets(&server, 5);
    drop(lock);
    for (n, client) in clients.iter_mut().enumerate() {
        let response = client.response();
        if n == 2 {
            is_rejected(&response);
            continue;
        }
        assert_eq!(response.status, 200, "/{n}: {}", response.head);
        assert_eq!(
            server.row(response.record_id().expect("its id")).path,
            format!("/{n}")
        );
    }
    assert_eq!(server.rows(), 5);
    assert_eq!(rejected(&server, "storage"), 1.0);
    assert_eq!(server.get("/after").status, 200);
    assert_eq!(server.get_admin("/livez").status, 200);
}

#[test]
fn a_failure_that_no_record_caused_is_503_until_it_is_over() {
    let server = Server::start();
    let rename = |from: &str, to: &str| {
        server
            .db()
            .execute_batch(&format!("alter table {from} rename to {to}"))
            .expect("renaming the table");
    };
    assert_eq!(server.get("/before").record_id(), Some(1));
    rename("requests", "elsewhere");
    for n in 0..3 {
        is_rejected(&server.get(&format!("/{n}")));
    }
    assert_eq!(rejected(&server, "storage"), 3.0);
    rename("elsewhere", "requests");
    assert_eq!(server.get("/after").record_id(), Some(2));
    assert_eq!(server.rows(), 2);
}

#[test]
fn a_full_queue_is_503_at_once() {
    let server = Server::with(|c| {
        // The client would not wait so long.
        c.set("commit.queue_records_max", 2)
            .text("commit.deadline", "1h");
    });
    let lock = WriteLock::take(server.database_path());
    let clients = queue_gets(&server, 2);
    is_rejected(&server.get("/one-too-many"));
    assert_eq!(rejected(&server, "queue_full"), 1.0);
    let state = server.get_admin("/api/state").json();
    assert_eq!(state["requests"]["rejected_total"], 1);
    drop(lock);
    for mut client in clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(server.get("/after").status, 200);
    assert_eq!(server.rows(), 3);
}

#[test]
fn a_record_past_its_deadline_is_503_and_never_written() {
    let server = with_deadline("300ms");
    let lock = WriteLock::take(server.database_path());
    let start = Instant::now();
    is_rejected(&server.get("/late"));
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(290)..Duration::from_secs(4)).contains(&took),
        "{took:?}"
    );
    // It was taken out of the queue, so it is not written once the lock is free.
    wait_until_queued(&server, 0);
    assert_eq!(rejected(&server, "deadline"), 1.0);

    wait_until_unready(&server);
    assert_eq!(server.metric("daybook_ready", &[]), 0.0);
    drop(lock);
    wait_until_ready(&server);
    let next = server.get("/next");
    assert_eq!(server.row(next.record_id().expect("its id")).path, "/next");
    assert_eq!(server.rows(), 1);
}

#[test]
fn a_record_past_its_deadline_behind_a_foreign_writer_is_503_and_never_written() {
    let server = with_deadline("300ms");
    let transaction = WriteTransaction::begin(server.database_path());
    let start = Instant::now();
    is_rejected(&server.get("/late"));
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    wait_until_unready(&server);
    // daybook itself holds the lock file.
    eventually("the log names the cause", TIMEOUT, || {
        server.log().contains("a foreign writer, has held")
    });
    drop(transaction);
    wait_until_ready(&server);
    assert_eq!(server.get("/next").status, 200);
    assert_eq!(server.rows(), 1);
}

#[test]
fn a_process_that_was_frozen_past_the_deadline_does_not_write_expired_records() {
    let server = with_deadline("4s");
    let lock = WriteLock::take(server.database_path());
    let start = Instant::now();
    let mut client = send_get(&server, "/frozen");
    wait_until_queued(&server, 1);
    freeze(&server);
    drop(lock);
    eventually("its deadline has passed", TIMEOUT, || {
        start.elapsed() > Duration::from_millis(4500)
    });
    assert!(
        client.is_silent(),
        "a response before the outcome was known"
    );
    server.signal("CONT");
    is_rejected(&client.response());
    assert_eq!(server.get("/next").status, 200);
    assert_eq!(server.rows(), 1);
}

#[test]
fn a_foreign_writer_that_outlasts_the_busy_timeout_only_delays_responses() {
    let server = Server::with(|c| {
        c.text("database.busy_timeout", "50ms")
            .text("commit.deadline", "30s");
    });
    let transaction = WriteTransaction::begin(server.database_path());
    let start = Instant::now();
    let mut clients = queue_gets(&server, 3);
    eventually("the busy timeout has passed many times", TIMEOUT, || {
        start.elapsed() > Duration::from_millis(500)
    });
    assert!(clients.iter_mut().all(|client| client.is_silent()));
    assert_eq!(server.get_admin("/livez").status, 200);
    drop(transaction);
    let connection = server.db();
    for client in &mut clients {
        let response = client.response();
        assert_eq!(response.status, 200, "{}", response.head);
        assert!(db::row(&connection, response.record_id().expect("its id")).is_some());
    }
}
