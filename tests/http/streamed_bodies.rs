//! Bodies that a handler reads as they arrive.

use std::sync::{Arc, mpsc};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{any, post};
use daybook::{RequestStore, WriteError, streamed_body};
use http_body_util::BodyExt;
use tempfile::TempDir;

use crate::common::client::{Client, Response, refuses_connections};
use crate::common::in_process::InProcessServer;
use crate::common::{TIMEOUT, db, eventually};

/// A handler's messages to its test.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Data(usize),
    End,
    Error,
}

#[derive(Clone)]
struct Events(Arc<mpsc::Sender<Event>>);

impl Events {
    fn tell(&self, event: Event) {
        self.0.send(event).expect("the test waits");
    }
}

/// Reads a body to its end, or to its error.
async fn read(events: &Events, body: &mut Body) -> Result<usize, StatusCode> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            events.tell(Event::Error);
            return Err(StatusCode::IM_A_TEAPOT);
        };
        let data = frame.into_data().expect("data");
        length += data.len();
        events.tell(Event::Data(data.len()));
    }
    events.tell(Event::End);
    Ok(length)
}

async fn insert(store: &RequestStore, length: usize) -> Result<usize, WriteError<rusqlite::Error>> {
    store
        .write(move |tx| tx.execute("insert into uploads (length) values (?)", [length as i64]))
        .await
}

fn start(keys: &[(&str, &str)]) -> (InProcessServer, mpsc::Receiver<Event>) {
    async fn count(
        State(events): State<Events>,
        store: RequestStore,
        mut body: Body,
    ) -> Result<String, StatusCode> {
        let length = read(&events, &mut body).await?;
        match insert(&store, length).await {
            Ok(_) => Ok(length.to_string()),
            Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
    async fn writes_too_early(
        State(events): State<Events>,
        store: RequestStore,
        mut body: Body,
    ) -> Result<String, StatusCode> {
        let early = insert(&store, 0).await;
        let length = read(&events, &mut body).await?;
        insert(&store, length)
            .await
            .map_err(|_| StatusCode::IM_A_TEAPOT)?;
        Ok(format!(
            "{:?}, then {length}",
            early.map_err(|error| error.to_string())
        ))
    }
    /// As a multipart parser: it stops at the last byte, and does not ask for the end.
    async fn stops_at_five_bytes(
        State(events): State<Events>,
        store: RequestStore,
        mut body: Body,
    ) -> Result<String, StatusCode> {
        let mut length = 0;
        while length < 5 {
            let frame = body.frame().await.expect("data").expect("no error");
            length += frame.into_data().expect("data").len();
        }
        drop(body);
        events.tell(Event::Data(length));
        Ok(match insert(&store, length).await {
            Ok(_) => "written".to_owned(),
            Err(error) => error.to_string(),
        })
    }
    async fn reads_one_part(mut body: Body) -> (StatusCode, String) {
        let frame = body.frame().await.expect("data").expect("no error");
        let length = frame.into_data().expect("data").len();
        (StatusCode::CONFLICT, length.to_string())
    }
    async fn ends_early_but_keeps_the_body(State(events): State<Events>, mut body: Body) {
        tokio::spawn(async move { read(&events, &mut body).await });
    }
    let (sender, events) = mpsc::channel();
    let routes = Router::new()
        .route("/", any(count))
        .route("/early-write", post(writes_too_early))
        .route("/five", post(stops_at_five_bytes))
        .route("/one-part", post(reads_one_part))
        .route("/keeps", post(ends_early_but_keeps_the_body))
        .layer(streamed_body(3000))
        .with_state(Events(Arc::new(sender)));
    // Smaller than all bodies: these need neither memory nor files.
    let limits = [
        ("http.body_bytes_max", "1"),
        ("http.body_bytes_in_flight_max", "1"),
        ("http.body_disk_bytes_max", "0"),
    ];
    let server = InProcessServer::start(routes, &[&limits, keys].concat());
    server
        .db()
        .execute_batch("create table uploads (length integer)")
        .expect("the table");
    (server, events)
}

fn with_length(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n")
}

fn chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
}

/// Path and `content_length` of each record, and the lengths that handlers wrote.
fn written(server: &InProcessServer) -> (Vec<(String, i64)>, Vec<i64>) {
    let database = server.db();
    let mut records = database
        .prepare("select path, content_length from requests order by id")
        .expect("a query");
    let records = records
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .expect("records");
    let mut uploads = database
        .prepare("select length from uploads")
        .expect("a query");
    let uploads = uploads
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .expect("uploads");
    (records, uploads)
}

fn status_and_text(response: &Response) -> (u16, &str) {
    (response.status, response.text())
}

#[test]
fn a_handler_reads_a_streamed_body_as_it_arrives() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    // The first part is read before the second is sent. The connection is kept alive.
    client.send(with_length("/", 10));
    for _ in 0..2 {
        client.send("hello");
        assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    }
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::End));
    assert_eq!(status_and_text(&client.response()), (200, "10"));

    client.send(chunked("/"));
    for _ in 0..2 {
        client.send("3\r\nabc\r\n");
        assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(3)));
    }
    client.send("0\r\n\r\n");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::End));
    assert_eq!(status_and_text(&client.response()), (200, "6"));

    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(status_and_text(&client.response()), (200, "0"));
    let root = |length| ("/".to_owned(), length);
    assert_eq!(
        written(&server),
        (vec![root(10), root(6), root(0)], vec![10, 6, 0])
    );
}

#[test]
fn a_streamed_body_beyond_its_limit_is_413() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/", 3000).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(client.response().status, 100);
    client.send("a".repeat(3000));
    assert_eq!(status_and_text(&client.response()), (200, "3000"));

    // An announced length: before 100 Continue, and before the handler.
    let read_before = events.try_iter().count();
    assert!(read_before > 0);
    client.send(with_length("/", 3001).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(client.response().status, 413);
    assert_eq!(events.try_recv(), Err(mpsc::TryRecvError::Empty));

    let mut client = Client::connect(&server.listen);
    client.send(chunked("/"));
    client.send(format!(
        "bb8\r\n{}\r\n1\r\na\r\n0\r\n\r\n",
        "a".repeat(3000)
    ));
    let response = client.response();
    assert_eq!(response.status, 413);
    assert!(response.closes_connection());
    assert_eq!(events.try_iter().last(), Some(Event::Error));
    let (records, uploads) = written(&server);
    let lengths: Vec<_> = records.into_iter().map(|(_, length)| length).collect();
    assert_eq!((lengths, uploads), (vec![3000, 0, 3001], vec![3000]));
}

#[test]
fn a_write_before_the_body_s_end_is_refused_and_writes_nothing() {
    let (server, _events) = start(&[]);
    let early =
        "Err(\"the request's body has not been read to its end: read it before the write\")";
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/early-write", 5) + "hello");
    assert_eq!(
        status_and_text(&client.response()),
        (200, &*format!("{early}, then 5"))
    );
    // A part of a chunked body that the write has seen still reaches the handler.
    client.send(chunked("/early-write") + "5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(
        status_and_text(&client.response()),
        (200, &*format!("{early}, then 5"))
    );
    let record = ("/early-write".to_owned(), 5);
    assert_eq!(written(&server), (vec![record.clone(), record], vec![5, 5]));
}

#[test]
fn a_write_waits_for_the_end_of_a_chunked_body_whose_last_byte_was_read() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    client.send(chunked("/five") + "5\r\nhello\r\n");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    client.send("0\r\n\r\n");
    assert_eq!(status_and_text(&client.response()), (200, "written"));
    // With a known length there is nothing to wait for.
    client.send(with_length("/five", 5) + "hello");
    assert_eq!(status_and_text(&client.response()), (200, "written"));
    // The client does not end its body.
    client.send(chunked("/five") + "5\r\nhello\r\n");
    let response = client.response();
    assert!(
        response.text().contains("not been read to its end"),
        "{}",
        response.text()
    );
    assert!(response.closes_connection());
    assert_eq!(written(&server).1, [5, 5]);
}

#[test]
fn a_client_that_disconnects_leaves_no_row() {
    let (server, events) = start(&[]);
    for head in [with_length("/", 10), chunked("/")] {
        let mut client = Client::connect(&server.listen);
        client.send(head + "5\r\nhello\r\n"[..].get(..8).expect("a part"));
        assert!(matches!(events.recv_timeout(TIMEOUT), Ok(Event::Data(_))));
        drop(client);
        let error = eventually("the handler reads an error", TIMEOUT, || {
            events
                .try_iter()
                .find(|event| !matches!(event, Event::Data(_)))
        });
        assert_eq!(error, Event::Error);
    }
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/", 1) + "a");
    assert_eq!(client.response().record_id(), Some(1));
    assert_eq!(written(&server), (vec![("/".to_owned(), 1)], vec![1]));
}

#[test]
fn malformed_framing_of_a_streamed_body_is_400() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    client.send(chunked("/") + "5\r\nhello\r\n");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    client.send("x\r\n");
    let response = client.response();
    assert_eq!(response.status, 400, "{}", response.head);
    assert_eq!(written(&server), (vec![("/".to_owned(), 5)], vec![]));
}

#[test]
fn a_streamed_body_that_stalls_is_408() {
    let (server, events) = start(&[("http.body_timeout", "200ms")]);
    for head in [with_length("/", 10), chunked("/")] {
        let mut client = Client::connect(&server.listen);
        client.send(head + "5\r\nhello\r\n"[..].get(..8).expect("a part"));
        let response = client.response();
        assert_eq!(response.status, 408, "{}", response.head);
        assert!(response.record_id().is_some());
        assert_eq!(events.try_iter().last(), Some(Event::Error));
    }
}

#[test]
fn a_response_before_the_end_of_a_streamed_body_closes_the_connection() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/one-part", 10) + "hello");
    let response = client.response();
    assert_eq!(status_and_text(&response), (409, "5"));
    assert!(response.closes_connection());
    // The client may still send the rest.
    client.send("world");
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");

    // A task that kept the body reads an error, not an end.
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/keeps", 10));
    assert_eq!(client.response().status, 200);
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Error));
    let records = vec![("/one-part".to_owned(), 5), ("/keeps".to_owned(), 0)];
    assert_eq!(written(&server), (records, vec![]));
}

/// Keeps the database of a server that has stopped.
fn start_with_database_in(
    directory: &TempDir,
    grace: &str,
) -> (InProcessServer, mpsc::Receiver<Event>) {
    let path = directory.path().join("requests.db");
    let path = path.to_str().expect("text");
    start(&[("database.path", path), ("shutdown.grace", grace)])
}

fn kept_lengths(directory: &TempDir) -> Vec<i64> {
    let database = db::open(&directory.path().join("requests.db"));
    let mut records = database
        .prepare("select content_length from requests")
        .expect("a query");
    let lengths = records.query_map([], |row| row.get(0));
    lengths.and_then(Iterator::collect).expect("records")
}

#[test]
fn a_stop_waits_for_a_streamed_body_within_the_grace_period() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, events) = start_with_database_in(&directory, "30s");
    let listen = server.listen.clone();
    let mut client = Client::connect(&listen);
    client.send(with_length("/", 10) + "hello");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    // Asserts that the server has drained.
    let stopping = std::thread::spawn(move || drop(server));
    eventually("it accepts no more connections", TIMEOUT, || {
        refuses_connections(&listen)
    });
    client.send("world");
    assert_eq!(status_and_text(&client.response()), (200, "10"));
    stopping.join().expect("an orderly end");
    assert_eq!(kept_lengths(&directory), [10]);
}

#[test]
fn a_streamed_body_beyond_the_grace_period_is_503_without_a_row() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, events) = start_with_database_in(&directory, "100ms");
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/", 10) + "hello");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    let stopping = std::thread::spawn(move || server.stop_uncleanly());
    let response = client.response();
    assert_eq!((response.status, response.record_id()), (503, None));
    stopping.join().expect("an end");
    assert_eq!(kept_lengths(&directory), Vec::<i64>::new());
}
