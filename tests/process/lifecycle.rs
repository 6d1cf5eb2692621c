//! From a signal to the end: nothing that was asked is lost, and it does not take for ever.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::client::{Client, refuses_connections};
use crate::common::load::{Load, Outcome, assert_recorded};
use crate::common::locks::{WriteLock, freeze, lock_file, queue_gets, send_get, wait_until_queued};
use crate::common::server::Server;
use crate::common::{TIMEOUT, db, eventually};

fn with(drain_delay: &str, grace: &str) -> Server {
    Server::with(|c| {
        c.text("shutdown.drain_delay", drain_delay)
            .text("shutdown.grace", grace)
            .text("commit.deadline", "30s");
    })
}

fn is_unready(server: &Server) {
    eventually("it is unready", TIMEOUT, || {
        server.get_admin("/readyz").status == 503
    });
}

/// A POST whose body will never end; its head has been read.
fn half_a_request(server: &Server) -> Client {
    let mut client = Client::connect(server.addr());
    client.send(
        "POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.response().status, 100);
    client.send("half");
    client
}

#[test]
fn sigterm_under_load_loses_no_answer() {
    let mut server = with("3s", "10s");
    let load = Load::start(server.addr(), "load", 16);
    load.wait_for(500, TIMEOUT);
    server.signal("TERM");
    is_unready(&server);
    // Still accepting: these come over new connections, for every response ends its own.
    load.wait_for(100, TIMEOUT);
    // A load balancer that has seen it unready sends it no new connections.
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
fn sigterm_under_load_without_a_delay_leaves_no_answer_in_pieces() {
    let mut server = with("0s", "10s");
    let load = Load::start(server.addr(), "load", 16);
    load.wait_for(500, TIMEOUT);
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT * 2).code(), Some(0));
    let requests = load.join();
    for request in &requests {
        match &request.outcome {
            Outcome::Responded { status, .. } => assert_eq!(*status, 200, "{request:?}"),
            // The request crossed the end of an idle connection on its way.
            Outcome::Lost { received, .. } => assert_eq!(*received, 0, "{request:?}"),
        }
    }
    assert_recorded(&server.db(), &requests);
}

#[test]
fn requests_that_wait_for_their_commit_are_answered_before_the_end() {
    for signal in ["TERM", "INT"] {
        let mut server = with("0s", "10s");
        let lock = WriteLock::take(server.database_path());
        let clients = queue_gets(&server, 20);
        server.signal(signal);
        is_unready(&server);
        eventually("it accepts no more", TIMEOUT, || {
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
fn connections_that_the_kernel_has_queued_are_answered_before_the_end() {
    let mut server = with("0s", "10s");
    // Frozen, so that the connections and the signal are there at the same time.
    freeze(&server);
    // More than tokio lets one task accept in one go.
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
fn a_connection_that_is_open_when_the_signal_comes_may_still_ask() {
    let mut server = with("0s", "10s");
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
    eventually("it accepts no more", TIMEOUT, || {
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
fn a_request_whose_body_is_still_coming_is_answered_before_the_end() {
    let mut server = with("0s", "10s");
    let mut client = half_a_request(&server);
    server.signal("TERM");
    is_unready(&server);
    client.send("+ half");
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "half+ half"));
    assert!(response.closes_connection(), "{}", response.head);
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn while_it_drains_it_is_unready_and_answers_all_the_same() {
    let server = with("30s", "10s");
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
    is_unready(&server);
    let readyz = server.get_admin("/readyz");
    assert!(readyz.text().contains("drain"), "{}", readyz.text());
    assert_eq!(readyz.text().trim_end().lines().count(), 1);
    assert_eq!(server.metric("daybook_ready", &[]), 0.0);
    assert_eq!(server.get_admin("/livez").status, 200);

    // New connections that would rather be kept, and one that was.
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
fn the_drain_ends_by_itself_after_its_delay() {
    let mut server = with("500ms", "10s");
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
fn what_is_open_at_the_end_of_grace_gets_503_and_the_exit_status_says_so() {
    let mut server = with("0s", "300ms");
    let mut client = half_a_request(&server);
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
    let mut server = with("0s", "300ms");
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
    // The lock is never let go before: the end does not wait for it.
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
    drop(lock);
    assert_eq!(server.rows(), 0);
}

#[test]
fn every_signal_that_asks_it_to_end_lets_open_requests_be_answered() {
    for signal in ["HUP", "INT", "QUIT", "TERM"] {
        let mut server = with("0s", "10s");
        let lock = WriteLock::take(server.database_path());
        let mut client = send_get(&server, "/open");
        wait_until_queued(&server, 1);
        server.signal(signal);
        is_unready(&server);
        drop(lock);
        let response = client.response();
        assert_eq!(
            (response.status, response.record_id()),
            (200, Some(1)),
            "{signal}"
        );
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0), "{signal}");
    }
}

#[test]
fn signals_that_mean_nothing_to_it_end_nothing() {
    let server = Server::start();
    for signal in ["USR1", "USR2"] {
        server.signal(signal);
        let line = format!("SIG{signal} is ignored");
        eventually(&line, TIMEOUT, || server.log().contains(&line));
    }
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn under_nohup_it_outlives_its_terminal() {
    let mut server = Server::with(|c| {
        c.through(&["nohup"]);
    });
    server.signal("HUP");
    // Signals are delivered in no order, but both are there before the process runs on.
    server.signal("USR1");
    eventually("the other signal is heard", TIMEOUT, || {
        server.log().contains("SIGUSR1")
    });
    assert_eq!(server.get_admin("/readyz").status, 200);
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (second, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
        let mut server = with("30s", "30s");
        let _client = half_a_request(&server);
        server.signal("TERM");
        is_unready(&server);
        let start = Instant::now();
        server.signal(second);
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(code), "{second}");
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_second_signal_is_heard_while_the_writer_waits_for_the_lock() {
    let mut server = with("0s", "30s");
    let _lock = WriteLock::take(server.database_path());
    let _client = send_get(&server, "/");
    wait_until_queued(&server, 1);
    server.signal("INT");
    is_unready(&server);
    server.signal("INT");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(130));
}

#[test]
fn a_server_started_again_goes_on_where_it_was() {
    let mut first = with("0s", "10s");
    assert_eq!(first.get("/first").record_id(), Some(1));
    first.signal("TERM");
    assert_eq!(first.wait_exit(TIMEOUT).code(), Some(0));
    let log = format!("{}-wal", first.database_path().display());
    assert!(
        !Path::new(&log).exists(),
        "whoever copies the database's file alone has all of it"
    );
    let second = Server::with(|c| {
        c.text("database.path", first.database_path().display());
    });
    assert_eq!(second.get("/second").record_id(), Some(2));
    assert_eq!(second.row(1).path, "/first");
}

#[test]
fn a_request_on_a_connection_made_before_the_end_is_answered() {
    let mut server = with("0s", "10s");
    let mut client = Client::connect(server.addr());
    server.signal("TERM");
    is_unready(&server);
    client.send("GET /just-in-time HTTP/1.1\r\nHost: h\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 200);
    assert!(response.closes_connection(), "{}", response.head);
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}
