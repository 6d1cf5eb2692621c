//! Answers whose handlers stream them: how they end, and what becomes of their connections.

mod common;

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::routing::get;
use common::embedded::Embedded;
use common::raw::{Client, get as ask};
use common::{SOON, eventually};
use hyper::body::Frame;

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
fn listening(server: &Embedded) -> Client {
    let mut client = Client::connect(&server.listen);
    client.send("GET /stream HTTP/1.1\r\nhost: h\r\n\r\n");
    eventually("the stream has begun", SOON, || !client.is_silent());
    client
}

fn streaming(then: Then) -> Embedded {
    let body = move || Body::new(Stream { begun: false, then });
    let routes = Router::new()
        .route("/stream", get(async move || body()))
        .fallback(async || "fine");
    Embedded::start(routes, &[("SHUTDOWN__GRACE", "30s")])
}

#[test]
fn an_open_stream_ends_in_order_when_the_server_is_told_to_stop() {
    for then in [Then::Silence, Then::More] {
        let server = streaming(then);
        let mut client = listening(&server);
        let begun = std::time::Instant::now();
        let reading = std::thread::spawn(move || client.rest().expect("an orderly end"));
        // Waits until it has ended, and asserts that it was in order.
        drop(server);
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        let rest = reading.join().expect("the client");
        assert!(rest.ends_with(b"piece\r\n0\r\n\r\n"), "cut off");
    }
}

#[test]
fn a_stream_that_panics_leaves_no_connection_behind() {
    let server = streaming(Then::Panic);
    let mut client = listening(&server);
    let _ = client.rest();
    eventually("no connection is counted", SOON, || {
        let metrics = ask(&server.admin, "/metrics");
        let gauge = |line: &str| line.starts_with("daybook_connections{") && line.ends_with(" 0");
        metrics.text().lines().any(gauge)
    });
    assert_eq!(ask(&server.listen, "/").text(), "fine");
}
