//! An HTTP client that sends raw bytes, valid or not, and parses the responses.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use socket2::{Domain, SockAddr, Socket, Type};

use super::TIMEOUT;

/// A final or interim response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// In order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The head as received.
    pub head: String,
}

impl Response {
    /// A whole response, of a connection that was closed after it.
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.expect("a head") + 4);
        let mut response = parse_head(String::from_utf8_lossy(head).into_owned());
        response.body = body.to_vec();
        response
    }

    /// The value of a header. Panics if the response has it twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_str());
        let first = values.next();
        assert!(
            values.next().is_none(),
            "{name} is there twice: {}",
            self.head
        );
        first
    }

    pub fn record_id(&self) -> Option<i64> {
        self.header("record-id")
            .map(|id| id.parse().unwrap_or_else(|_| panic!("record-id: {id}")))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of UTF-8")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Whether it has `connection: close`.
    pub fn closes_connection(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Asserts a problem as RFC 9457 defines it.
    pub fn assert_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.head);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].is_string(), "{problem}");
    }

    /// Whether the head or the body contains `needle`.
    pub fn contains(&self, needle: &str) -> bool {
        self.head.contains(needle) || String::from_utf8_lossy(&self.body).contains(needle)
    }
}

/// One connection.
pub struct Client {
    socket: Socket,
    /// Received, but not yet returned.
    unread: Vec<u8>,
}

impl Client {
    /// Connects to `ADDR:PORT` or `unix:PATH`.
    pub fn connect(address: &str) -> Self {
        Self::connect_with(address, |_| ())
    }

    /// Connects after `prepare` has set options of the socket.
    pub fn connect_with(address: &str, prepare: impl FnOnce(&Socket)) -> Self {
        let (domain, target) = match address.strip_prefix("unix:") {
            Some(path) => (
                Domain::UNIX,
                SockAddr::unix(path).expect("a path for a socket"),
            ),
            None => {
                let target: SocketAddr = address
                    .parse()
                    .unwrap_or_else(|_| panic!("not ADDR:PORT: {address}"));
                (Domain::for_address(target), target.into())
            }
        };
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
        prepare(&socket);
        socket
            .connect(&target)
            .unwrap_or_else(|e| panic!("connecting to {address}: {e}"));
        if domain != Domain::UNIX {
            socket.set_tcp_nodelay(true).expect("setting TCP_NODELAY");
        }
        socket
            .set_read_timeout(Some(TIMEOUT))
            .expect("setting the read timeout");
        socket
            .set_write_timeout(Some(TIMEOUT))
            .expect("setting the write timeout");
        Self {
            socket,
            unread: Vec::new(),
        }
    }

    /// Sends all of `bytes`. Panics if the server does not read them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("sending");
    }

    /// Sends chunks of `size` bytes. The server may close the connection before the end.
    pub fn send_in_pieces(&mut self, bytes: &[u8], size: usize) -> io::Result<()> {
        bytes
            .chunks(size)
            .try_for_each(|piece| self.socket.write_all(piece))
    }

    /// Shuts down the sending side; responses can still be read.
    pub fn shut_down_sending(&self) {
        self.socket
            .shutdown(Shutdown::Write)
            .expect("shutting down the sending side");
    }

    /// The next response, to any method but HEAD. Panics if there is none.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The next response, to a request of that method. Panics if there is none.
    pub fn response_to(&mut self, method: &str) -> Response {
        self.next_response(method)
            .expect("a response, but the server closed the connection")
    }

    /// The next response, or `None` if the server closed the connection.
    pub fn next_response(&mut self, method: &str) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill().expect("reading a response") == 0 {
                assert!(
                    self.unread.is_empty(),
                    "an incomplete head: {}",
                    String::from_utf8_lossy(&self.unread)
                );
                return None;
            }
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).expect("a head of UTF-8");
        let mut response = parse_head(head);
        if method == "HEAD" || response.status < 200 || matches!(response.status, 204 | 304) {
            return Some(response);
        }
        assert_eq!(
            response.header("transfer-encoding"),
            None,
            "a response whose length is known is not chunked"
        );
        match response
            .header("content-length")
            .map(|n| n.parse::<usize>().expect("content-length"))
        {
            Some(length) => {
                while self.unread.len() < length {
                    assert_ne!(
                        self.fill().expect("reading a body"),
                        0,
                        "the body is cut off: {}",
                        response.head
                    );
                }
                response.body = self.unread.drain(..length).collect();
            }
            None => response.body = self.read_to_end().expect("reading a body to its end"),
        }
        Some(response)
    }

    /// Everything until the server closes. An error if it resets the connection, or does not close in time.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Everything until the server closes or resets the connection. The kernel resets it if the server was killed, or closed
    /// it with unread bytes. Panics if neither happens in time.
    pub fn read_until_closed(&mut self) -> Vec<u8> {
        match self.read_to_end() {
            Ok(rest) => rest,
            Err(e) if e.kind() == ErrorKind::ConnectionReset => std::mem::take(&mut self.unread),
            Err(e) => panic!(
                "neither closed nor reset ({e}), after {:?}",
                String::from_utf8_lossy(&self.unread)
            ),
        }
    }

    /// Whether the connection is open and nothing was received.
    pub fn is_silent(&mut self) -> bool {
        self.socket
            .set_nonblocking(true)
            .expect("setting non-blocking");
        let seen = self.fill();
        self.socket
            .set_nonblocking(false)
            .expect("setting blocking");
        self.unread.is_empty() && matches!(seen, Err(e) if e.kind() == ErrorKind::WouldBlock)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 65536];
        let n = loop {
            match self.socket.read(&mut buffer) {
                // The kernel does not restart a read with a timeout after a signal.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.unread.extend_from_slice(&buffer[..n]);
        Ok(n)
    }
}

/// Whether no server listens at `address`.
pub fn refuses_connections(address: &str) -> bool {
    match TcpStream::connect(address) {
        Ok(_) => false,
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => true,
        Err(e) => panic!("connecting to {address}: {e}"),
    }
}

/// Sends a GET on a new connection.
pub fn get(address: &str, path: &str) -> Response {
    send(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    )
}

/// Sends a request on a new connection and returns its response.
pub fn send(address: &str, request: impl AsRef<[u8]>) -> Response {
    let mut client = Client::connect(address);
    client.send(&request);
    let method = if request.as_ref().starts_with(b"HEAD ") {
        "HEAD"
    } else {
        "GET"
    };
    client.response_to(method)
}

fn parse_head(head: String) -> Response {
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    assert!(
        status_line.starts_with("HTTP/1."),
        "not a status line: {status_line}"
    );
    let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let field = |line: &str| {
        let (name, value) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("not a field: {line}"));
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers = lines.map(field).collect();
    Response {
        status: status.expect("a status"),
        headers,
        body: Vec::new(),
        head,
    }
}
