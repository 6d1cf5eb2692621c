//! Responses whose handlers stream them: how they end, and what becomes of their connections.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use crate::common::client::{Client, get as http_get, refuses_connections};
use crate::common::in_process::InProcessServer;
use crate::common::{TIMEOUT, eventually};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::routing::get;
use hyper::body::Frame;
use tokio::sync::mpsc;

/// What a stream does behind its first piece.
#[derive(Clone, Copy)]
enum Then {
    /// Never anything, like an event stream without events.
    Silence,
    /// More, as fast as it is taken.
    More,
    Panic,
}

struct Stream {
    begun: bool,
    then: Then,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"piece")))));
        match (std::mem::replace(&mut self.begun, true), self.then) {
            (false, _) | (_, Then::More) => piece,
            (_, Then::Silence) => Poll::Pending,
            (_, Then::Panic) => panic!("in a stream"),
        }
    }
}

/// A client of such a stream, whose first bytes have arrived.
fn listening(server: &InProcessServer) -> Client {
    let mut client = Client::connect(&server.listen);
    client.send("GET /stream HTTP/1.1\r\nhost: h\r\n\r\n");
    eventually("the stream has begun", TIMEOUT, || !client.is_silent());
    client
}

fn streaming(then: Then) -> InProcessServer {
    let body = move || Body::new(Stream { begun: false, then });
    let routes = Router::new()
        .route("/stream", get(async move || body()))
        .fallback(async || "fine");
    InProcessServer::start(routes, &[("SHUTDOWN__GRACE", "30s")])
}

#[test]
fn an_open_stream_ends_in_order_when_the_server_is_told_to_stop() {
    for then in [Then::Silence, Then::More] {
        let server = streaming(then);
        let mut client = listening(&server);
        let begun = std::time::Instant::now();
        let reading = std::thread::spawn(move || client.read_to_end().expect("an orderly end"));
        // Waits until it has ended, and asserts that it was in order.
        drop(server);
        assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
        let rest = reading.join().expect("the client");
        assert!(rest.ends_with(b"piece\r\n0\r\n\r\n"), "cut off");
    }
}

/// What a sender gives it.
struct Fed(mpsc::Receiver<Bytes>);

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[test]
fn a_streamed_answer_that_says_its_length_is_sent_to_its_end_though_the_server_stops() {
    let (feed, fed) = mpsc::channel(1);
    let fed = Arc::new(Mutex::new(Some(fed)));
    let download = async move || {
        let fed = fed.lock().expect("no panic").take().expect("one request");
        ([(CONTENT_LENGTH, "10")], Body::new(Fed(fed)))
    };
    let routes = Router::new().route("/stream", get(download));
    let server = InProcessServer::start(routes, &[("SHUTDOWN__GRACE", "30s")]);
    let piece = || Bytes::from_static(b"piece");
    feed.blocking_send(piece()).expect("a reader");
    let mut client = listening(&server);
    let listen = server.listen.clone();
    let stopping = std::thread::spawn(move || drop(server));
    eventually("it accepts nobody any more", TIMEOUT, || {
        refuses_connections(&listen)
    });
    feed.blocking_send(piece()).expect("a reader");
    drop(feed);
    let response = client.read_to_end().expect("an orderly end");
    assert!(response.ends_with(b"\r\n\r\npiecepiece"), "cut off");
    stopping.join().expect("an orderly end");
}

#[test]
fn a_stream_that_panics_leaves_no_connection_behind() {
    let server = streaming(Then::Panic);
    let mut client = listening(&server);
    assert!(
        !client.read_until_closed().ends_with(b"0\r\n\r\n"),
        "it looks whole"
    );
    eventually("no connection is counted", TIMEOUT, || {
        let metrics = http_get(&server.admin, "/metrics");
        let gauge = |line: &str| line.starts_with("daybook_connections{") && line.ends_with(" 0");
        metrics.text().lines().any(gauge)
    });
    assert_eq!(http_get(&server.listen, "/").text(), "fine");
}
