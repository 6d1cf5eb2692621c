//! What could hold up a stop, and must not.

use std::sync::Arc;

use crate::common::client::{self, Client};
use crate::common::config::Config;
use crate::common::in_process::InProcessServer;
use crate::common::locks::{WriteLock, lock_file, send_get};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};
use axum::Router;
use axum::routing::get;
use daybook::serve::StopOutcome;
use daybook::store::RequestStore;
use tokio::sync::Notify;

fn with_grace(grace: &str) -> Server {
    Server::with(|c| {
        c.text("shutdown.grace", grace)
            .text("commit.deadline", "30s");
    })
}

#[test]
fn connections_without_a_whole_head_neither_delay_the_end_nor_spoil_it() {
    for grace in ["30s", "1600ms"] {
        let mut server = Server::with(|c| {
            c.text("shutdown.grace", grace);
        });
        let mut first = Client::connect(server.addr());
        first.send("G");
        let mut later = send_get(&server, "/");
        assert_eq!(later.response().status, 200);
        later.send("GET / HTTP/1.1\r\nHost: h\r\n");
        let mut silent = Client::connect(server.addr());
        eventually("all are accepted", TIMEOUT, || {
            server.metric("daybook_connections", &[]) == 3.0
        });
        server.signal("TERM");
        // These clients go on holding their side open.
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0), "grace {grace}");
        assert_eq!(first.response().status, 408);
        assert_eq!(later.response().status, 408);
        assert_eq!(silent.read_to_end().expect("an orderly end"), b"");
        assert_eq!(server.rows(), 1);
    }
}

#[test]
fn a_writer_that_waits_for_the_lock_with_nothing_to_write_does_not_delay_the_end() {
    let mut server = Server::with(|c| {
        c.text("shutdown.grace", "60s")
            .text("commit.deadline", "200ms");
    });
    let _lock = WriteLock::take(server.database_path());
    // Its record expires; the writer still waits for the lock.
    assert_eq!(send_get(&server, "/").response().status, 503);
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn a_start_that_waits_for_the_database_can_be_stopped() {
    for signal in ["TERM", "INT"] {
        let config = Config::new();
        let database = config.database();
        std::fs::write(lock_file(&database), "").expect("a lock file");
        let _lock = WriteLock::take(&database);
        let (mut process, log, _dir) = config.spawn();
        eventually("it waits for the lock", TIMEOUT, || {
            log.text().contains("waiting for the write lock")
        });
        let kill = format!("kill -s {signal} {}", process.id());
        let killed = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(killed.expect("starting a shell").success(), "{kill}");
        let status = eventually("it has ended", TIMEOUT, || process.ended());
        assert_eq!(status.code(), Some(0), "{signal}: nothing was begun");
    }
}

#[test]
fn idle_connections_do_not_delay_the_end() {
    for signal in ["TERM", "INT"] {
        let mut server = with_grace("30s");
        let mut kept = send_get(&server, "/");
        assert_eq!(kept.response().status, 200);
        let mut fresh = Client::connect(server.addr());
        eventually("both are accepted", TIMEOUT, || {
            server.metric("daybook_connections", &[]) == 2.0
        });
        let mut admin = Client::connect(server.admin());
        admin.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(admin.response().status, 200);
        server.signal(signal);
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0), "{signal}");
        assert_eq!(kept.read_to_end().expect("an orderly end"), b"");
        assert_eq!(fresh.read_to_end().expect("an orderly end"), b"");
    }
}

#[test]
fn a_server_stopped_while_others_hold_the_lock_and_with_nothing_to_write_ends_in_order() {
    let mut server = with_grace("10s");
    let _lock = WriteLock::take(server.database_path());
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn one_byte_of_a_head_does_not_use_up_the_grace_period() {
    let mut server = with_grace("10s");
    let mut client = Client::connect(server.addr());
    client.send("G");
    eventually("it is connected", TIMEOUT, || {
        server.metric("daybook_connections", &[]) == 1.0
    });
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn what_a_handler_writes_in_the_background_is_waited_for_no_longer_than_grace() {
    let begin = Arc::new(Notify::new());
    let handler = {
        let begin = begin.clone();
        async move |store: RequestStore| {
            tokio::spawn(async move {
                begin.notified().await;
                store
                    .write(|tx| tx.execute_batch("create table written (text)"))
                    .await
            });
        }
    };
    let keys = [("SHUTDOWN__GRACE", "300ms"), ("COMMIT__DEADLINE", "30s")];
    let server = InProcessServer::start(Router::new().route("/", get(handler)), &keys);
    assert_eq!(client::get(&server.listen, "/").record_id(), Some(1));
    let _lock = WriteLock::take(&server.database_path());
    begin.notify_one();
    server.wait_until_queued(1);
    assert_eq!(server.stop(), StopOutcome::GraceExpired);
}
