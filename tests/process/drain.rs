//! A drain loses no request, and takes no longer than configured.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{send_half_a_request, start_with, wait_until_unready};
use crate::common::client::{Client, refuses_connections};
use crate::common::load::{Load, Outcome, assert_recorded};
use crate::common::locks::{WriteLock, freeze, lock_file, queue_gets, send_get, wait_until_queued};
use crate::common::server::Server;
use crate::common::{TIMEOUT, db, eventually};

#[test]
fn sigterm_under_load_loses_no_response() {
    let mut server = start_with("3s", "10s");
    let load = Load::start(server.addr(), "load", 16);
    load.wait_for(500, TIMEOUT);
    server.signal("TERM");
    wait_until_unready(&server);
    // The server still accepts: every response closes its connection, so these use new ones.
    load.wait_for(100, TIMEOUT);
    // A load balancer opens no new connections to an unready server.
    load.stop_connecting();
    let requests = load.join();
    assert_eq!(server.wait_exit(TIMEOUT * 2).code(), Some(0));
    let lost: Vec<_> = requests
        .iter()
        .filter(|e| e.status() != Some(200))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_recorded(&server.db(), &requests);
}

#[test]
fn sigterm_under_load_without_a_delay_sends_no_partial_response() {
    let mut server = start_with("0s", "10s");
    let load = Load::start(server.addr(), "load", 16);
    load.wait_for(500, TIMEOUT);
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT * 2).code(), Some(0));
    let requests = load.join();
    for request in &requests {
        match &request.outcome {
            Outcome::Responded { status, .. } => assert_eq!(*status, 200, "{request:?}"),
            // The server closed the idle connection while the request was on its way.
            Outcome::Lost { received, .. } => assert_eq!(*received, 0, "{request:?}"),
        }
    }
    assert_recorded(&server.db(), &requests);
}

#[test]
fn requests_that_wait_for_their_commit_get_a_response_before_the_exit() {
    for signal in ["TERM", "INT"] {
        let mut server = start_with("0s", "10s");
        let lock = WriteLock::take(server.database_path());
        let clients = queue_gets(&server, 20);
        server.signal(signal);
        wait_until_unready(&server);
        eventually("it no longer accepts", TIMEOUT, || {
            refuses_connections(server.addr())
        });
        drop(lock);
        let connection = db::open(server.database_path());
        for mut client in clients {
            let response = client.response();
            assert_eq!(response.status, 200, "{}", response.head);
            assert!(response.closes_connection(), "{}", response.head);
            assert!(db::row(&connection, response.record_id().expect("its id")).is_some());
            assert_eq!(client.read_to_end().expect("an orderly end"), b"");
        }
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0), "{signal}");
        assert_eq!(db::count(&connection), 20);
        assert!(
            lock_file(server.database_path()).exists(),
            "the lock file must stay"
        );
    }
}

#[test]
fn connections_in_the_kernels_queue_get_a_response_before_the_exit() {
    let mut server = start_with("0s", "10s");
    // Freeze the server, so that it sees the connections and the signal at once.
    freeze(&server);
    // More than tokio lets one task accept without yielding.
    let clients: Vec<_> = (0..300)
        .map(|n| send_get(&server, &format!("/{n}")))
        .collect();
    server.signal("TERM");
    server.signal("CONT");
    for mut client in clients {
        let response = client.response();
        assert_eq!(response.status, 200, "{}", response.head);
    }
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
    assert_eq!(server.rows(), 300);
}

#[test]
fn a_connection_that_is_open_at_the_signal_may_still_send_a_request() {
    let mut server = start_with("0s", "10s");
    let mut accepted = Client::connect(server.addr());
    let mut begun = Client::connect(server.addr());
    begun.send("GET /begun HTTP/1.1\r\n");
    eventually("both are accepted", TIMEOUT, || {
        server.metric("daybook_connections", &[]) == 2.0
    });
    freeze(&server);
    let mut queued = Client::connect(server.addr());
    server.signal("TERM");
    server.signal("CONT");
    eventually("it no longer accepts", TIMEOUT, || {
        refuses_connections(server.addr())
    });
    accepted.send("GET /accepted HTTP/1.1\r\nHost: h\r\n\r\n");
    queued.send("GET /queued HTTP/1.1\r\nHost: h\r\n\r\n");
    begun.send("Host: h\r\n\r\n");
    for client in [&mut accepted, &mut queued, &mut begun] {
        let response = client.response();
        assert_eq!(response.status, 200, "{}", response.head);
        assert!(response.closes_connection(), "{}", response.head);
        assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    }
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
    assert_eq!(server.rows(), 3);
}

#[test]
fn a_request_with_a_partial_body_gets_a_response_before_the_exit() {
    let mut server = start_with("0s", "10s");
    let mut client = send_half_a_request(&server);
    server.signal("TERM");
    wait_until_unready(&server);
    client.send("+ half");
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "half+ half"));
    assert!(response.closes_connection(), "{}", response.head);
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn a_draining_server_is_unready_and_still_responds() {
    let server = start_with("30s", "10s");
    let mut kept = Client::connect(server.addr());
    kept.send("GET /before HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(!kept.response().closes_connection());
    assert_eq!(
        (
            server.get("/healthz").status,
            server.metric("daybook_ready", &[])
        ),
        (200, 1.0)
    );

    server.signal("TERM");
    wait_until_unready(&server);
    let readyz = server.get_admin("/readyz");
    assert!(readyz.text().contains("drain"), "{}", readyz.text());
    assert_eq!(readyz.text().trim_end().lines().count(), 1);
    assert_eq!(server.metric("daybook_ready", &[]), 0.0);
    assert_eq!(server.get_admin("/livez").status, 200);

    // A new connection and one that was kept alive: both are closed after the response.
    let mut new = send_get(&server, "/new");
    let response = new.response();
    assert_eq!(
        (response.status, response.closes_connection()),
        (200, true),
        "{}",
        response.head
    );
    assert_eq!(
        server.row(response.record_id().expect("its id")).path,
        "/new"
    );
    assert_eq!(new.read_to_end().expect("an orderly end"), b"");
    kept.send("GET /after HTTP/1.1\r\nHost: h\r\n\r\n");
    let response = kept.response();
    assert_eq!(
        (response.status, response.closes_connection()),
        (200, true),
        "{}",
        response.head
    );
    let health = send_get(&server, "/healthz").response();
    assert_eq!(
        (health.status, health.closes_connection()),
        (503, true),
        "{}",
        health.head
    );
}

#[test]
fn the_drain_ends_after_drain_delay() {
    let mut server = start_with("500ms", "10s");
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(490)..Duration::from_secs(4)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn a_request_open_at_the_end_of_grace_gets_503_and_the_exit_code_is_1() {
    let mut server = start_with("0s", "300ms");
    let mut client = send_half_a_request(&server);
    server.signal("TERM");
    let response = client.response();
    assert_eq!(response.status, 503, "{}", response.head);
    assert!(
        response.header("retry-after").is_some(),
        "{}",
        response.head
    );
    assert_eq!(
        response.text().trim_end().lines().count(),
        1,
        "{}",
        response.text()
    );
    assert!(response.closes_connection(), "{}", response.head);
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
    assert_eq!(server.rows(), 0);
}

#[test]
fn a_record_that_cannot_be_committed_within_grace_gets_503_and_no_row() {
    let mut server = start_with("0s", "300ms");
    let lock = WriteLock::take(server.database_path());
    let mut client = send_get(&server, "/");
    wait_until_queued(&server, 1);
    server.signal("TERM");
    let response = client.response();
    assert_eq!(
        (response.status, response.record_id()),
        (503, None),
        "{}",
        response.head
    );
    // The lock is still held: the exit does not wait for it.
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
    drop(lock);
    assert_eq!(server.rows(), 0);
}

#[test]
fn a_restarted_server_continues_the_ids() {
    let mut first = start_with("0s", "10s");
    assert_eq!(first.get("/first").record_id(), Some(1));
    first.signal("TERM");
    assert_eq!(first.wait_exit(TIMEOUT).code(), Some(0));
    let log = format!("{}-wal", first.database_path().display());
    assert!(
        !Path::new(&log).exists(),
        "the database file alone is complete"
    );
    let second = Server::with(|c| {
        c.text("database.path", first.database_path().display());
    });
    assert_eq!(second.get("/second").record_id(), Some(2));
    assert_eq!(second.row(1).path, "/first");
}

#[test]
fn a_request_on_a_connection_opened_before_the_exit_gets_a_response() {
    let mut server = start_with("0s", "10s");
    let mut client = Client::connect(server.addr());
    server.signal("TERM");
    wait_until_unready(&server);
    client.send("GET /just-in-time HTTP/1.1\r\nHost: h\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 200);
    assert!(response.closes_connection(), "{}", response.head);
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}
