//! Streamed responses: how they end, and what happens to their connections.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use crate::common::client::{Client, get as http_get, refuses_connections};
use crate::common::in_process::InProcessServer;
use crate::common::{TIMEOUT, eventually};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::stream::{self, StreamExt};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// The stream's behavior after its first chunk.
#[derive(Clone, Copy)]
enum Then {
    /// Sends nothing, like an event stream without events.
    Silence,
    /// Sends as fast as the client reads.
    More,
    Panic,
}

struct Stream {
    has_begun: bool,
    then: Then,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let chunk = Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"chunk")))));
        match (std::mem::replace(&mut self.has_begun, true), self.then) {
            (false, _) | (_, Then::More) => chunk,
            (_, Then::Silence) => Poll::Pending,
            (_, Then::Panic) => panic!("in a stream"),
        }
    }
}

/// A client that has received the first bytes of a stream.
fn client_of_stream(server: &InProcessServer) -> Client {
    let mut client = Client::connect(&server.listen);
    client.send("GET /stream HTTP/1.1\r\nhost: h\r\n\r\n");
    eventually("the stream has begun", TIMEOUT, || !client.is_silent());
    client
}

fn start_with_stream(then: Then) -> InProcessServer {
    let body = move || {
        Body::new(Stream {
            has_begun: false,
            then,
        })
    };
    let routes = Router::new()
        .route("/stream", get(async move || body()))
        .fallback(async || "fine");
    InProcessServer::start(routes, &[("shutdown.grace", "30s")])
}

#[test]
fn an_open_stream_ends_in_order_when_the_server_stops() {
    for then in [Then::Silence, Then::More] {
        let server = start_with_stream(then);
        let mut client = client_of_stream(&server);
        let reading = std::thread::spawn(move || client.read_to_end().expect("an orderly end"));
        // Waits for the server's exit and asserts that it was orderly.
        drop(server);
        let rest = reading.join().expect("the client");
        assert!(rest.ends_with(b"chunk\r\n0\r\n\r\n"), "truncated");
    }
}

#[test]
fn an_event_stream_that_ends_itself_at_a_stop_sends_its_last_event() {
    let events = async |context: daybook::Context| {
        let data = |text: &str| Ok::<_, Infallible>(Event::default().data(text));
        let news = stream::iter([data("first")]).chain(stream::pending());
        let last = stream::iter([data("the server restarts")]);
        Sse::new(news.take_until(context.stopping()).chain(last))
    };
    for drain_delay in ["0s", "50ms"] {
        let keys = [
            ("shutdown.grace", "30s"),
            ("shutdown.drain_delay", drain_delay),
        ];
        let server = InProcessServer::start(Router::new().route("/stream", get(events)), &keys);
        let mut client = client_of_stream(&server);
        drop(server);
        let response = client.read_to_end().expect("an orderly end");
        let response = String::from_utf8(response).expect("text");
        let first = response.find("data: first\n\n").expect("the first event");
        let rest = &response[first..];
        assert!(rest.contains("data: the server restarts\n\n"), "{response}");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{response}");
    }
}

/// A body whose chunks the test sends.
struct ChannelBody(mpsc::Receiver<Bytes>);

impl HttpBody for ChannelBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let chunk = self.0.poll_recv(context);
        chunk.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[test]
fn a_streamed_response_with_a_content_length_is_completed_when_the_server_stops() {
    let (sender, chunks) = mpsc::channel(1);
    let chunks = Arc::new(Mutex::new(Some(chunks)));
    let download = async move || {
        let chunks = chunks
            .lock()
            .expect("no panic")
            .take()
            .expect("one request");
        ([(CONTENT_LENGTH, "10")], Body::new(ChannelBody(chunks)))
    };
    let routes = Router::new().route("/stream", get(download));
    let server = InProcessServer::start(routes, &[("shutdown.grace", "30s")]);
    let chunk = || Bytes::from_static(b"chunk");
    sender.blocking_send(chunk()).expect("a reader");
    let mut client = client_of_stream(&server);
    let listen = server.listen.clone();
    let stopping = std::thread::spawn(move || drop(server));
    eventually("it accepts no more connections", TIMEOUT, || {
        refuses_connections(&listen)
    });
    sender.blocking_send(chunk()).expect("a reader");
    drop(sender);
    let response = client.read_to_end().expect("an orderly end");
    assert!(response.ends_with(b"\r\n\r\nchunkchunk"), "truncated");
    stopping.join().expect("an orderly end");
}

#[test]
fn a_stream_that_panics_closes_its_connection() {
    let server = start_with_stream(Then::Panic);
    let mut client = client_of_stream(&server);
    assert!(
        !client.read_until_closed().ends_with(b"0\r\n\r\n"),
        "the stream looks complete"
    );
    eventually("no connection is counted", TIMEOUT, || {
        let metrics = http_get(&server.admin, "/metrics");
        let gauge = |line: &str| line.starts_with("daybook_connections{") && line.ends_with(" 0");
        metrics.text().lines().any(gauge)
    });
    assert_eq!(http_get(&server.listen, "/").text(), "fine");
}
