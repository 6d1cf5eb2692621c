//! What could hold up a stop, and must not.

mod common;

use common::config::Config;
use common::hold::{WriteLock, asking, lock_file};
use common::raw::Client;
use common::server::Server;
use common::{SOON, eventually};

#[test]
fn connections_without_a_whole_head_neither_delay_the_end_nor_spoil_it() {
    for grace in ["30s", "400ms"] {
        let mut server = Server::with(|c| {
            c.text("shutdown.grace", grace);
        });
        let mut first = Client::connect(server.addr());
        first.send("G");
        let mut later = asking(&server, "/");
        assert_eq!(later.answer().status, 200);
        later.send("GET / HTTP/1.1\r\nHost: h\r\n");
        let mut silent = Client::connect(server.addr());
        eventually("all are accepted", SOON, || {
            server.metric("daybook_connections", &[]) == 3.0
        });
        server.signal("TERM");
        // These clients go on holding their side open.
        assert_eq!(server.wait_exit(SOON).code(), Some(0), "grace {grace}");
        assert_eq!(first.answer().status, 408);
        assert_eq!(later.answer().status, 408);
        assert_eq!(silent.rest().expect("an orderly end"), b"");
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
    assert_eq!(asking(&server, "/").answer().status, 503);
    server.signal("TERM");
    assert_eq!(server.wait_exit(SOON).code(), Some(0));
}

#[test]
fn a_start_that_waits_for_the_database_can_be_stopped() {
    for signal in ["TERM", "INT"] {
        let config = Config::new();
        let database = config.database();
        std::fs::write(lock_file(&database), "").expect("a lock file");
        let _lock = WriteLock::take(&database);
        let (mut process, log, _dir) = config.spawn();
        eventually("it waits for the lock", SOON, || {
            log.text().contains("waiting for the write lock")
        });
        let kill = format!("kill -s {signal} {}", process.id());
        let killed = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(killed.expect("starting a shell").success(), "{kill}");
        let status = eventually("it has ended", SOON, || process.ended());
        assert_eq!(status.code(), Some(0), "{signal}: nothing was begun");
    }
}
