//! A supervisor such as systemd, as far as it listens.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use super::config::Config;
use super::server::Server;
use super::{TIMEOUT, eventually};

/// The supervisor's end.
pub struct Notifications {
    socket: UnixDatagram,
    /// Of a message of several lines, those that nobody has asked for yet.
    lines: VecDeque<String>,
}

impl Notifications {
    /// Tells the server of `config` where to report.
    pub fn configure(config: &mut Config) -> Self {
        let path = config.path("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("binding the socket");
        socket
            .set_read_timeout(Some(TIMEOUT))
            .expect("setting the read time-out");
        config.environment("NOTIFY_SOCKET", path.to_str().expect("a path of UTF-8"));
        Self {
            socket,
            lines: VecDeque::new(),
        }
    }

    /// A server that reports, and the supervisor it reports to.
    pub fn start_server(configure: impl FnOnce(&mut Config)) -> (Server, Self) {
        let mut notifications = None;
        let server = Server::with(|c| {
            notifications = Some(Self::configure(c));
            configure(c);
        });
        (server, notifications.expect("the socket"))
    }

    fn next(&mut self) -> String {
        while self.lines.is_empty() {
            assert!(self.receive(), "no message within {TIMEOUT:?}");
        }
        self.lines.pop_front().expect("a line")
    }

    /// Reads on until that line has come.
    pub fn wait_for(&mut self, line: &str) {
        eventually(line, TIMEOUT, || self.next() == line);
    }

    /// Forgets what has come so far.
    pub fn clear(&mut self) {
        self.received();
    }

    /// The lines that have come so far and that nobody has asked for.
    pub fn received(&mut self) -> Vec<String> {
        self.socket
            .set_nonblocking(true)
            .expect("setting non-blocking");
        while self.receive() {}
        self.socket
            .set_nonblocking(false)
            .expect("setting blocking");
        self.lines.drain(..).collect()
    }

    /// Reads one message; `false` where none has come yet.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let n = match self.socket.recv(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
            received => received.expect("a message"),
        };
        let text = std::str::from_utf8(&buffer[..n]).expect("a message of UTF-8");
        self.lines.extend(text.lines().map(str::to_owned));
        true
    }
}
