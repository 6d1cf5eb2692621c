//! Many clients at once, each of which remembers what it sent and what it was told.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::eventually;
use super::raw::Answer;

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

/// One request, and what came of it.
#[derive(Debug)]
pub struct Exchange {
    pub method: &'static str,
    /// Unique.
    pub path: String,
    /// Bytes of body sent.
    pub length: i64,
    pub fate: Fate,
}

#[derive(Debug)]
pub enum Fate {
    Answered {
        status: u16,
        record_id: Option<i64>,
    },
    /// The connection ended after so many bytes of an answer.
    Lost {
        received: usize,
        #[expect(dead_code, reason = "a failed assertion prints it")]
        error: io::Error,
    },
}

impl Exchange {
    /// A GET that a test made by itself.
    pub fn get(path: &str, answer: &Answer) -> Self {
        let fate = Fate::Answered {
            status: answer.status,
            record_id: answer.record_id(),
        };
        Self {
            method: "GET",
            path: path.to_owned(),
            length: 0,
            fate,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self.fate {
            Fate::Answered { status, .. } => Some(status),
            Fate::Lost { .. } => None,
        }
    }
}

#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    open_no_more: AtomicBool,
    answered: AtomicU64,
}

/// Clients that ask again as soon as they have their answer. They reconnect where the server says `connection: close`
/// or the connection is lost, and end where nobody listens any more.
pub struct Load {
    orders: Arc<Orders>,
    clients: Vec<JoinHandle<Vec<Exchange>>>,
}

impl Load {
    /// Paths are `/NAME/CLIENT/NUMBER`.
    pub fn start(address: &str, name: &str, clients: usize) -> Self {
        Self::with_long_paths(address, name, clients, 0)
    }

    /// The same, with `extra` bytes at the end of every path, so that few rows are much to write.
    pub fn with_long_paths(address: &str, name: &str, clients: usize, extra: usize) -> Self {
        let orders = Arc::new(Orders::default());
        let start = |client| {
            let (orders, address) = (Arc::clone(&orders), address.to_owned());
            let (prefix, suffix) = (format!("/{name}/{client}/"), "x".repeat(extra));
            thread::spawn(move || run(&orders, &address, &prefix, &suffix))
        };
        let clients = (0..clients).map(start).collect();
        Self { orders, clients }
    }

    /// Waits until `n` more answers have come, of any status.
    pub fn wait_for(&self, n: u64, within: Duration) {
        let goal = self.answered() + n;
        eventually(&format!("{n} more answers"), within, || {
            self.answered() >= goal
        });
    }

    /// Answers so far.
    pub fn answered(&self) -> u64 {
        self.orders.answered.load(Ordering::Relaxed)
    }

    /// No new connections from now on, as a load balancer does with a server that is unready. The open ones go on.
    pub fn open_no_more(&self) {
        self.orders.open_no_more.store(true, Ordering::Relaxed);
    }

    /// Lets every client finish its request, and gives back all that they have seen.
    pub fn stop(self) -> Vec<Exchange> {
        self.orders.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until every client has ended by itself.
    pub fn join(self) -> Vec<Exchange> {
        let seen = |client: JoinHandle<Vec<Exchange>>| client.join().expect("a client's verdict");
        self.clients.into_iter().flat_map(seen).collect()
    }
}

fn run(orders: &Orders, address: &str, prefix: &str, suffix: &str) -> Vec<Exchange> {
    let mut seen = Vec::new();
    let mut connection = None;
    while !orders.stop.load(Ordering::Relaxed) {
        let mut open = match connection.take() {
            Some(open) => open,
            None if orders.open_no_more.load(Ordering::Relaxed) => break,
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
        let fate = match open.ask(method, &path, body) {
            Ok(answer) => {
                if answer.status == 200 {
                    assert_eq!(answer.body, body, "the request's own body, for {path}");
                }
                orders.answered.fetch_add(1, Ordering::Relaxed);
                connection = (!answer.closes).then_some(open);
                Fate::Answered {
                    status: answer.status,
                    record_id: answer.record_id,
                }
            }
            Err(error) => Fate::Lost {
                received: open.received,
                error,
            },
        };
        seen.push(Exchange {
            method,
            length: i64::try_from(body.len()).expect("a length"),
            path,
            fate,
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

/// A connection that may break, unlike that of [`super::raw::Client`], which must not.
struct Keepalive {
    stream: BufReader<TcpStream>,
    /// Bytes of the current answer.
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
        let mut answer = Brief {
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
                Some(("record-id", id)) => answer.record_id = Some(id.parse().expect("record-id")),
                Some(("connection", value)) => answer.closes = value == "close",
                Some(("content-length", n)) => {
                    answer.body = vec![0; n.parse().expect("content-length")]
                }
                Some(_) => (),
            }
        }
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
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

/// Holds every answer against the file: a 200 has exactly its row, a 503 has none, a request whose answer was lost has
/// at most one, and there is no row that nobody asked for. All that was ever sent must be in `exchanges`.
pub fn assert_recorded(connection: &Connection, exchanges: &[Exchange]) {
    let mut select = connection
        .prepare("select path, id, method, content_length from requests")
        .expect("selecting all rows");
    let mut rows: HashMap<String, Vec<(i64, String, i64)>> = HashMap::new();
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)));
    for row in select.query_map([], read).expect("reading all rows") {
        let (path, row) = row.expect("a row");
        rows.entry(path).or_default().push(row);
    }
    for Exchange {
        method,
        path,
        length,
        fate,
    } in exchanges
    {
        let rows = rows.remove(path).unwrap_or_default();
        match fate {
            Fate::Answered {
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
            Fate::Answered {
                status: 503,
                record_id,
            } => {
                assert_eq!(
                    (*record_id, rows),
                    (None, vec![]),
                    "{path} was answered 503"
                );
            }
            Fate::Answered { status, .. } => panic!("{method} {path} was answered {status}"),
            Fate::Lost { .. } => assert!(rows.len() <= 1, "{path} is there twice: {rows:?}"),
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
