//! Clients, locks and handlers that must not delay a shutdown.

use std::sync::Arc;

use super::start_with;
use crate::common::client::{self, Client};
use crate::common::config::Config;
use crate::common::db;
use crate::common::in_process::InProcessServer;
use crate::common::locks::{WriteLock, lock_file, send_get};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};
use axum::Router;
use axum::routing::get;
use daybook::RequestStore;
use tokio::sync::Notify;

#[test]
fn incomplete_heads_neither_delay_the_exit_nor_change_its_code() {
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
        // The clients keep their side open.
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0), "grace {grace}");
        assert_eq!(first.response().status, 408);
        assert_eq!(later.response().status, 408);
        assert_eq!(silent.read_to_end().expect("an orderly end"), b"");
        assert_eq!(server.rows(), 1);
    }
}

#[test]
fn a_writer_that_waits_for_the_lock_for_an_expired_record_does_not_delay_the_exit() {
    let mut server = Server::with(|c| {
        c.text("shutdown.grace", "60s")
            .text("commit.deadline", "200ms");
    });
    let _lock = WriteLock::take(server.database_path());
    // The record expires; the writer still waits for the lock.
    assert_eq!(send_get(&server, "/").response().status, 503);
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn a_signal_stops_a_start_that_waits_for_the_database() {
    for signal in ["TERM", "INT"] {
        let config = Config::new();
        let database = config.database();
        std::fs::write(lock_file(&database), "").expect("a lock file");
        let _lock = WriteLock::take(&database);
        let (mut process, log, _dir) = config.spawn();
        eventually("it waits for the lock", TIMEOUT, || {
            log.text().contains("waiting for the write lock")
        });
        process.signal(signal);
        let status = process.wait_exit(TIMEOUT);
        assert_eq!(status.code(), Some(0), "{signal}: nothing had started");
    }
}

#[test]
fn idle_connections_do_not_delay_the_exit() {
    for signal in ["TERM", "INT"] {
        let mut server = start_with("0s", "30s");
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
fn an_idle_server_stops_while_another_process_holds_the_lock() {
    let mut server = start_with("0s", "10s");
    let _lock = WriteLock::take(server.database_path());
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn one_byte_of_a_head_does_not_delay_the_exit() {
    let mut server = start_with("0s", "10s");
    let mut client = Client::connect(server.addr());
    client.send("G");
    eventually("it is connected", TIMEOUT, || {
        server.metric("daybook_connections", &[]) == 1.0
    });
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}

#[test]
fn a_request_whose_handler_outlasts_grace_after_its_write_gets_no_response() {
    let written = Arc::new(Notify::new());
    let handler = {
        let written = written.clone();
        async move |store: RequestStore| {
            let write = store.write(|tx| tx.execute_batch("create table written (text)"));
            write.await.expect("a write");
            written.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("requests.db");
    let keys = [
        ("shutdown.grace", "100ms"),
        ("database.path", path.to_str().expect("text")),
    ];
    let server = InProcessServer::start(Router::new().route("/", get(handler)), &keys);
    let mut client = Client::connect(&server.listen);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("the row is committed", TIMEOUT, || {
        db::count(&db::open(&path)) == 1
    });
    server.stop_uncleanly();
    // A 503 would say that there is no row.
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(db::count(&db::open(&path)), 1);
}

#[test]
fn a_handlers_background_write_delays_the_exit_no_longer_than_grace() {
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
    let keys = [("shutdown.grace", "300ms"), ("commit.deadline", "30s")];
    let server = InProcessServer::start(Router::new().route("/", get(handler)), &keys);
    assert_eq!(client::get(&server.listen, "/").record_id(), Some(1));
    let _lock = WriteLock::take(server.database_path());
    begin.notify_one();
    server.wait_until_queued(1);
    let reason = server.stop_uncleanly();
    assert!(reason.contains("shutdown.grace ended before"), "{reason}");
}
