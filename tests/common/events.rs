//! A client of `/api/stream`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;

use super::TIMEOUT;
use super::client::Response;

/// An open stream. It asks in HTTP/1.0, so that the body has no chunks.
pub struct EventStream(BufReader<TcpStream>);

/// One event.
#[derive(Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Value,
    pub id: Option<i64>,
}

impl EventStream {
    /// Opens a stream with this query, which has begun.
    pub fn open(admin: &str, query: &str) -> Self {
        Self::open_after(admin, query, None).expect("a stream")
    }

    /// Opens a stream, with a `Last-Event-ID`. The response, if it is no stream.
    pub fn open_after(admin: &str, query: &str, last_id: Option<&str>) -> Result<Self, Response> {
        let last_id = last_id.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        let request = format!("GET /api/stream?{query} HTTP/1.0\r\n{last_id}\r\n");
        let mut socket = TcpStream::connect(admin).expect("connecting");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        socket.write_all(request.as_bytes()).expect("sending");
        let mut peeked = [0; 12];
        while socket.peek(&mut peeked).expect("a response") < peeked.len() {}
        if !peeked.ends_with(b"200") {
            let mut bytes = Vec::new();
            socket.read_to_end(&mut bytes).expect("a response");
            return Err(Response::parse(&bytes));
        }
        let mut stream = Self(BufReader::new(socket));
        while stream.line().is_some_and(|line| !line.is_empty()) {}
        assert_eq!(stream.line().as_deref(), Some("retry: 1000"));
        assert_eq!(stream.line().as_deref(), Some(""));
        Ok(stream)
    }

    /// The next event; none if the server has closed the connection.
    pub fn next(&mut self) -> Option<Event> {
        let (mut name, mut data, mut id) = (None, None, None);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            // Comments keep a silent stream from its timeout.
            assert!(Instant::now() < deadline, "no event within {TIMEOUT:?}");
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("event", value)) => name = Some(value.to_owned()),
                Some(("data", value)) => data = serde_json::from_str(value).ok(),
                Some(("id", value)) => id = value.parse().ok(),
                _ if line.is_empty() && name.is_some() => {
                    return Some(Event {
                        name: name.expect("an event's name"),
                        data: data.expect("its JSON"),
                        id,
                    });
                }
                _ => {}
            }
        }
    }

    /// The next event, which must be of this name; its data.
    pub fn expect(&mut self, name: &str) -> Value {
        let event = self.next().expect("an event, but the stream has ended");
        assert_eq!(event.name, name, "{event:?}");
        event.data
    }

    /// Reads what is left until the server closes.
    pub fn read_to_end(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("an orderly end");
        rest
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) => panic!("reading the stream: {error}"),
        }
    }
}
