//! The effect of each signal.

use super::{send_half_a_request, start_with, wait_until_unready};
use crate::common::locks::{WriteLock, send_get, wait_until_queued};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

#[test]
fn every_stop_signal_lets_open_requests_finish() {
    for signal in ["HUP", "INT", "QUIT", "TERM"] {
        let mut server = start_with("0s", "10s");
        let lock = WriteLock::take(server.database_path());
        let mut client = send_get(&server, "/open");
        wait_until_queued(&server, 1);
        server.signal(signal);
        wait_until_unready(&server);
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
fn sigusr1_and_sigusr2_are_ignored() {
    let server = Server::start();
    for signal in ["USR1", "USR2"] {
        server.signal(signal);
        let line = format!("SIG{signal} is ignored");
        eventually(&line, TIMEOUT, || server.log().contains(&line));
    }
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn under_nohup_sighup_is_ignored() {
    let mut server = Server::with(|c| {
        c.through(&["nohup"]);
    });
    server.signal("HUP");
    // The kernel delivers pending signals in any order, but all before the process continues.
    server.signal("USR1");
    eventually("the other signal is handled", TIMEOUT, || {
        server.log().contains("SIGUSR1")
    });
    assert_eq!(server.get_admin("/readyz").status, 200);
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (second, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
        let mut server = start_with("30s", "30s");
        let _client = send_half_a_request(&server);
        server.signal("TERM");
        wait_until_unready(&server);
        server.signal(second);
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(code), "{second}");
    }
}

#[test]
fn a_second_signal_works_while_the_writer_waits_for_the_lock() {
    let mut server = start_with("0s", "30s");
    let _lock = WriteLock::take(server.database_path());
    let _client = send_get(&server, "/");
    wait_until_queued(&server, 1);
    server.signal("INT");
    wait_until_unready(&server);
    server.signal("INT");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(130));
}
