//! The receiving side of sd_notify, as systemd has it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use super::config::Config;
use super::server::Server;
use super::{TIMEOUT, eventually};

/// The supervisor's socket.
pub struct Notifications {
    socket: UnixDatagram,
    /// Lines that were received and not yet returned: a message can have several.
    lines: VecDeque<String>,
}

impl Notifications {
    /// Has the server of `config` notify this socket.
    pub fn configure(config: &mut Config) -> Self {
        let path = config.path("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("binding the socket");
        socket
            .set_read_timeout(Some(TIMEOUT))
            .expect("setting the read timeout");
        config.environment("NOTIFY_SOCKET", path.to_str().expect("a path of UTF-8"));
        Self {
            socket,
            lines: VecDeque::new(),
        }
    }

    /// Starts a server that notifies the returned socket.
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

    /// Waits for that line.
    pub fn wait_for(&mut self, line: &str) {
        eventually(line, TIMEOUT, || self.next() == line);
    }

    /// Drops the lines received so far.
    pub fn clear(&mut self) {
        self.received();
    }

    /// Returns the lines received so far.
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

    /// Reads one message. Returns whether there was one.
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
