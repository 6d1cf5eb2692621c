//! What a supervisor such as systemd is told, over a real datagram socket.

mod common;

use std::collections::VecDeque;
use std::os::unix::net::UnixDatagram;
use std::thread;

use common::config::Config;
use common::hold::{WriteLock, asking, wait_until_queued};
use common::raw;
use common::server::Server;
use common::{SOON, eventually};

/// The supervisor's end.
struct Notifications {
    socket: UnixDatagram,
    /// Of a message of several lines, those that nobody has asked for yet.
    lines: VecDeque<String>,
}

impl Notifications {
    /// Tells the server of `config` where to report.
    fn of(config: &mut Config) -> Self {
        let path = config.path("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("binding the socket");
        socket
            .set_read_timeout(Some(SOON))
            .expect("setting the read time-out");
        config.environment("NOTIFY_SOCKET", path.to_str().expect("a path of UTF-8"));
        Self {
            socket,
            lines: VecDeque::new(),
        }
    }

    fn next(&mut self) -> String {
        while self.lines.is_empty() {
            let mut buffer = [0; 4096];
            let n = self.socket.recv(&mut buffer).expect("a message");
            let text = std::str::from_utf8(&buffer[..n]).expect("a message of UTF-8");
            self.lines.extend(text.lines().map(str::to_owned));
        }
        self.lines.pop_front().expect("a line")
    }

    /// Reads on until that line has come.
    fn wait_for(&mut self, line: &str) {
        eventually(line, SOON, || self.next() == line);
    }

    /// Forgets what has come so far.
    fn forget(&mut self) {
        self.lines.clear();
        self.socket
            .set_nonblocking(true)
            .expect("setting non-blocking");
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket
            .set_nonblocking(false)
            .expect("setting blocking");
    }
}

fn start(configure: impl FnOnce(&mut Config)) -> (Server, Notifications) {
    let mut notifications = None;
    let server = Server::with(|c| {
        notifications = Some(Notifications::of(c));
        configure(c);
    });
    (server, notifications.expect("the socket"))
}

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
                    .send(Notifications::of(c))
                    .expect("handing over the socket");
            })
        });
        let mut notifications = receiver.recv().expect("the socket");
        notifications.wait_for("READY=1");
        // At once, without a look at the log: READY=1 is the promise.
        assert_eq!(raw::get(&address, "/").record_id(), Some(1));
        let mut server = starting.join().expect("the server");
        server.signal("TERM");
        notifications.wait_for("STOPPING=1");
        assert_eq!(server.wait_exit(SOON).code(), Some(0));
    });
}

#[test]
fn it_says_that_it_stops_while_it_still_drains() {
    let (server, mut notifications) = start(|c| {
        c.text("shutdown.drain_delay", "30s");
    });
    server.signal("TERM");
    notifications.wait_for("STOPPING=1");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_watchdog_is_fed_also_while_the_writer_waits_for_the_lock() {
    let (server, mut notifications) = start(|c| {
        c.environment("WATCHDOG_USEC", "200000")
            .text("commit.deadline", "30s");
    });
    for _ in 0..3 {
        notifications.wait_for("WATCHDOG=1");
    }
    let lock = WriteLock::take(server.database_path());
    let mut client = asking(&server, "/");
    wait_until_queued(&server, 1);
    notifications.forget();
    // At two a period that is more than a second of waiting.
    for _ in 0..12 {
        notifications.wait_for("WATCHDOG=1");
    }
    assert!(client.is_silent());
    drop(lock);
    assert_eq!(client.answer().status, 200);
}
