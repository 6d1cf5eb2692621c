//! What a supervisor such as systemd is told, over a real datagram socket.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::thread;

use crate::common::client;
use crate::common::locks::{WriteLock, send_get, wait_until_queued};
use crate::common::server::Server;
use crate::common::supervisor::Notifications;
use crate::common::{TIMEOUT, eventually};

#[test]
fn it_says_that_it_is_ready_once_it_answers_and_when_it_stops() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let address = format!("unix:{}", dir.path().join("public.sock").display());
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let starting = scope.spawn(|| {
            Server::with(|c| {
                c.text("listen", &address);
                sender
                    .send(Notifications::configure(c))
                    .expect("handing over the socket");
            })
        });
        let mut notifications = receiver.recv().expect("the socket");
        notifications.wait_for("READY=1");
        // At once, without a look at the log: READY=1 is the promise.
        assert_eq!(client::get(&address, "/").record_id(), Some(1));
        let mut server = starting.join().expect("the server");
        server.signal("TERM");
        notifications.wait_for("STOPPING=1");
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
    });
}

#[test]
fn it_says_that_it_stops_while_it_still_drains() {
    let (server, mut notifications) = Notifications::start_server(|c| {
        c.text("shutdown.drain_delay", "30s");
    });
    server.signal("TERM");
    notifications.wait_for("STOPPING=1");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_watchdog_is_fed_also_while_the_writer_waits_for_the_lock() {
    let (server, mut notifications) = Notifications::start_server(|c| {
        c.environment("WATCHDOG_USEC", "200000")
            .text("commit.deadline", "30s");
    });
    for _ in 0..3 {
        notifications.wait_for("WATCHDOG=1");
    }
    let lock = WriteLock::take(server.database_path());
    let mut client = send_get(&server, "/");
    wait_until_queued(&server, 1);
    notifications.clear();
    // At two a period that is more than a second of waiting.
    for _ in 0..12 {
        notifications.wait_for("WATCHDOG=1");
    }
    assert!(client.is_silent());
    drop(lock);
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_supervisor_that_does_not_read_holds_up_neither_requests_nor_the_end() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let _unread = UnixDatagram::bind(&path).expect("a socket");
    let mut server = Server::with(|c| {
        c.environment("NOTIFY_SOCKET", &path.display().to_string())
            .environment("WATCHDOG_USEC", "2000");
    });
    let other = UnixDatagram::unbound().expect("a socket");
    other.set_nonblocking(true).expect("setting non-blocking");
    eventually("its queue is full", TIMEOUT, || {
        let sent = other.send_to(b"WATCHDOG=1", &path);
        sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    });
    for _ in 0..10 {
        assert_eq!(server.get("/").status, 200);
    }
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(0));
}
