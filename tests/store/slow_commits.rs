//! A disk that hangs: readiness and the watchdog while a commit does not end.

use std::time::{Duration, Instant};

use crate::common::locks::send_get;
use crate::common::server::Server;
use crate::common::supervisor::Notifications;
use crate::common::syncs::Syncs;
use crate::common::{TIMEOUT, eventually};

fn wait_until_unready(server: &Server) {
    eventually("it is unready for its slow commit", TIMEOUT, || {
        let readyz = server.get_admin("/readyz");
        readyz.status == 503 && readyz.text().contains("a commit has taken longer")
    });
}

#[test]
fn a_replica_whose_commit_outlasts_the_deadline_is_unready_until_it_is_done() {
    let syncs = Syncs::new();
    let server = Server::with(|c| {
        c.text("database.synchronous", "full")
            .text("commit.deadline", "200ms");
        syncs.preload(c);
    });
    syncs.hang_syncs();
    let mut client = send_get(&server, "/slow");
    wait_until_unready(&server);
    assert_eq!(server.get("/healthz").status, 503);
    assert_eq!(server.metric("daybook_ready", &[]), 0.0);
    assert_eq!(server.get_admin("/livez").status, 200);
    assert!(client.is_silent(), "a response before its sync");

    syncs.resume_syncs();
    let response = client.response();
    assert_eq!((response.status, response.record_id()), (200, Some(1)));
    eventually("it is ready again", TIMEOUT, || {
        server.get_admin("/readyz").status == 200
    });
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn the_watchdog_is_not_fed_while_a_commit_outlasts_its_interval() {
    let syncs = Syncs::new();
    let (server, mut notifications) = Notifications::start_server(|c| {
        c.environment("WATCHDOG_USEC", "200000")
            .text("database.synchronous", "full")
            .text("commit.deadline", "400ms");
        syncs.preload(c);
    });
    notifications.wait_for("WATCHDOG=1");
    syncs.hang_syncs();
    let mut client = send_get(&server, "/stuck");
    // The deadline is longer than the interval, so the writer now counts as stuck.
    wait_until_unready(&server);
    notifications.clear();
    let begun = Instant::now();
    eventually("many feeding times have passed", TIMEOUT, || {
        begun.elapsed() > Duration::from_secs(1)
    });
    assert_eq!(notifications.received(), [""; 0]);

    syncs.resume_syncs();
    assert_eq!(client.response().status, 200);
    notifications.wait_for("WATCHDOG=1");
}

#[test]
fn an_idle_replica_is_ready_however_long_ago_its_last_commit_was() {
    let (server, mut notifications) = Notifications::start_server(|c| {
        c.environment("WATCHDOG_USEC", "200000")
            .text("commit.deadline", "100ms");
    });
    let mut is_ready = |path: &str| {
        assert_eq!(server.get(path).status, 200);
        let begun = Instant::now();
        eventually("both times have passed", TIMEOUT, || {
            // Read the notifications, as a supervisor does: else the server waits for room in the socket.
            notifications.clear();
            begun.elapsed() > Duration::from_millis(500)
        });
        assert_eq!(server.get_admin("/readyz").status, 200);
    };
    // A health check is not recorded, so nothing has been committed.
    is_ready("/healthz");
    is_ready("/recorded");
    notifications.clear();
    notifications.wait_for("WATCHDOG=1");
}

#[test]
fn the_watchdog_is_fed_before_its_interval_is_over() {
    let (_server, mut notifications) = Notifications::start_server(|c| {
        c.environment("WATCHDOG_USEC", "12000000");
    });
    // The first comes at once. The test waits for the second for less time than the interval.
    for _ in 0..2 {
        notifications.wait_for("WATCHDOG=1");
    }
}
