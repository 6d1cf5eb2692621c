//! Many clients at once, each of which remembers what it sent and what it was told.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::client::Response;
use super::eventually;

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

/// One request, and what came of it.
#[derive(Debug)]
pub struct SentRequest {
    pub method: &'static str,
    /// Unique.
    pub path: String,
    /// Bytes of body sent.
    pub length: i64,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub enum Outcome {
    Responded {
        status: u16,
        record_id: Option<i64>,
    },
    /// The connection ended after so many bytes of a response.
    Lost {
        received: usize,
        #[expect(dead_code, reason = "a failed assertion prints it")]
        error: io::Error,
    },
}

impl SentRequest {
    /// A GET that a test made by itself.
    pub fn get(path: &str, response: &Response) -> Self {
        let outcome = Outcome::Responded {
            status: response.status,
            record_id: response.record_id(),
        };
        Self {
            method: "GET",
            path: path.to_owned(),
            length: 0,
            outcome,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Responded { status, .. } => Some(status),
            Outcome::Lost { .. } => None,
        }
    }
}

#[derive(Default)]
struct Control {
    stop: AtomicBool,
    stop_connecting: AtomicBool,
    responses: AtomicU64,
}

/// Clients that ask again as soon as they have their response. They reconnect where the server says `connection: close`
/// or the connection is lost, and end where nobody listens any more.
pub struct Load {
    control: Arc<Control>,
    clients: Vec<JoinHandle<Vec<SentRequest>>>,
}

impl Load {
    /// Paths are `/NAME/CLIENT/NUMBER`.
    pub fn start(address: &str, name: &str, clients: usize) -> Self {
        Self::with_long_paths(address, name, clients, 0)
    }

    /// The same, with `extra` bytes at the end of every path, so that few rows are much to write.
    pub fn with_long_paths(address: &str, name: &str, clients: usize, extra: usize) -> Self {
        let control = Arc::new(Control::default());
        let start = |client| {
            let (control, address) = (Arc::clone(&control), address.to_owned());
            let (prefix, suffix) = (format!("/{name}/{client}/"), "x".repeat(extra));
            thread::spawn(move || run(&control, &address, &prefix, &suffix))
        };
        let clients = (0..clients).map(start).collect();
        Self { control, clients }
    }

    /// Waits until `n` more responses have come, of any status.
    pub fn wait_for(&self, n: u64, within: Duration) {
        let goal = self.responses() + n;
        eventually(&format!("{n} more responses"), within, || {
            self.responses() >= goal
        });
    }

    /// Responses so far.
    pub fn responses(&self) -> u64 {
        self.control.responses.load(Ordering::Relaxed)
    }

    /// No new connections from now on, as a load balancer does with a server that is unready. The open ones go on.
    pub fn stop_connecting(&self) {
        self.control.stop_connecting.store(true, Ordering::Relaxed);
    }

    /// Lets every client finish its request, and gives back all that they have seen.
    pub fn stop(self) -> Vec<SentRequest> {
        self.control.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until every client has ended by itself.
    pub fn join(self) -> Vec<SentRequest> {
        let seen =
            |client: JoinHandle<Vec<SentRequest>>| client.join().expect("a client's verdict");
        self.clients.into_iter().flat_map(seen).collect()
    }
}

fn run(control: &Control, address: &str, prefix: &str, suffix: &str) -> Vec<SentRequest> {
    let mut seen = Vec::new();
    let mut connection = None;
    while !control.stop.load(Ordering::Relaxed) {
        let mut open = match connection.take() {
            Some(open) => open,
            None if control.stop_connecting.load(Ordering::Relaxed) => break,
            None => match Keepalive::open(address) {
                Ok(open) => open,
                Err(_) => break,
            },
        };
        let method = METHODS[seen.len() % METHODS.len()];
        let path = format!("{prefix}{}{suffix}", seen.len());
        let body = if method.starts_with('P') {
            path.as_bytes()
        } else {
            b""
        };
        let outcome = match open.ask(method, &path, body) {
            Ok(response) => {
                if response.status == 200 {
                    assert_eq!(response.body, body, "the request's own body, for {path}");
                }
                control.responses.fetch_add(1, Ordering::Relaxed);
                connection = (!response.closes).then_some(open);
                Outcome::Responded {
                    status: response.status,
                    record_id: response.record_id,
                }
            }
            Err(error) => Outcome::Lost {
                received: open.received,
                error,
            },
        };
        seen.push(SentRequest {
            method,
            length: i64::try_from(body.len()).expect("a length"),
            path,
            outcome,
        });
    }
    seen
}

struct Brief {
    status: u16,
    record_id: Option<i64>,
    closes: bool,
    body: Vec<u8>,
}

/// A connection that may break, unlike that of [`super::client::Client`], which must not.
struct Keepalive {
    stream: BufReader<TcpStream>,
    /// Bytes of the current response.
    received: usize,
}

impl Keepalive {
    fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream: BufReader::new(stream),
            received: 0,
        })
    }

    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Brief> {
        self.received = 0;
        let length = body.len();
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: load\r\nContent-Length: {length}\r\n\r\n");
        request.push_str(std::str::from_utf8(body).expect("a body of text"));
        self.stream.get_mut().write_all(request.as_bytes())?;

        let status = self.line()?.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut response = Brief {
            status: status.expect("a status"),
            record_id: None,
            closes: false,
            body: Vec::new(),
        };
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line
                .split_once(':')
                .map(|(name, value)| (name, value.trim()))
            {
                None => break,
                Some(("record-id", id)) => {
                    response.record_id = Some(id.parse().expect("record-id"))
                }
                Some(("connection", value)) => response.closes = value == "close",
                Some(("content-length", n)) => {
                    response.body = vec![0; n.parse().expect("content-length")]
                }
                Some(_) => (),
            }
        }
        self.stream.read_exact(&mut response.body)?;
        Ok(response)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.received += self.stream.read_line(&mut line)?;
        if line.ends_with('\n') {
            Ok(line)
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }
}

/// Holds every response against the file: a 200 has exactly its row, a 503 has none, a request whose response was lost has
/// at most one, and there is no row that nobody asked for. All that was ever sent must be in `requests`.
pub fn assert_recorded(connection: &Connection, requests: &[SentRequest]) {
    let mut select = connection
        .prepare("select path, id, method, content_length from requests")
        .expect("selecting all rows");
    let mut rows: HashMap<String, Vec<(i64, String, i64)>> = HashMap::new();
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)));
    for row in select.query_map([], read).expect("reading all rows") {
        let (path, row) = row.expect("a row");
        rows.entry(path).or_default().push(row);
    }
    for SentRequest {
        method,
        path,
        length,
        outcome,
    } in requests
    {
        let rows = rows.remove(path).unwrap_or_default();
        match outcome {
            Outcome::Responded {
                status: 200,
                record_id,
            } => {
                let id = record_id.unwrap_or_else(|| panic!("no record-id for {path}"));
                assert_eq!(
                    rows,
                    [(id, (*method).to_owned(), *length)],
                    "the row of {method} {path}"
                );
            }
            Outcome::Responded {
                status: 503,
                record_id,
            } => {
                assert_eq!(
                    (*record_id, rows),
                    (None, vec![]),
                    "{path} was answered 503"
                );
            }
            Outcome::Responded { status, .. } => panic!("{method} {path} was answered {status}"),
            Outcome::Lost { .. } => assert!(rows.len() <= 1, "{path} is there twice: {rows:?}"),
        }
    }
    assert!(rows.is_empty(), "rows that nobody asked for: {rows:?}");
}

/// Lets SQLite check the whole file.
pub fn assert_sound(connection: &Connection) {
    let verdict: String = connection
        .query_row("pragma integrity_check", [], |row| row.get(0))
        .expect("checking the file");
    assert_eq!(verdict, "ok");
}
