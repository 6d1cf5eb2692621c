//! Time passes at once here: the runtime's clock is paused.

use axum::body::Body;
use axum::extract::WebSocketUpgrade;
use axum::http::Request;
use axum::routing::any;
use axum::{Extension, Router};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tower_service::Service;

use super::websocket;
use crate::config::AppConfig;
use crate::config::{self, Config};
use crate::context::Context;
use crate::http::connection;
use crate::http::guard::{HeadBudget, Limits};
use crate::shutdown::Shutdown;

/// The example of RFC 6455.
const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const PING: [u8; 2] = [0x89, 0];
/// With its mask, which is zero.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
/// "Hello", from a client.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0Hello";

fn config() -> Config {
    config::load_from(None, [], std::path::Path::new("/nonexistent")).expect("the defaults")
}

/// Opens a WebSocket whose handler reads, and stops reading after `messages`.
async fn connect(shutdown: &Shutdown, messages: usize) -> DuplexStream {
    let metrics = prometheus::Registry::new();
    let context = Context::new(AppConfig::default(), metrics, shutdown.watch());
    let open = async move |upgrade: WebSocketUpgrade, context: Context| {
        websocket(upgrade, &context, async move |mut socket| {
            for _ in 0..messages {
                if socket.recv().await.is_none() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        })
    };
    let routes = Router::new()
        .route("/", any(open))
        .layer(Extension(context));
    let (mut client, server) = duplex(1024);
    let config = config();
    let limits = Limits::new(&config.http, config.shutdown.grace.get());
    let heads = HeadBudget::new(config.http.heads_bytes_in_flight_max.get());
    let respond = move |_, request: Request<Incoming>| routes.clone().call(request.map(Body::new));
    tokio::spawn(connection::serve(
        server,
        limits,
        heads,
        shutdown.watch(),
        respond,
    ));
    client
        .write_all(HANDSHAKE.as_bytes())
        .await
        .expect("sending");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("a response"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    client
}

async fn next_two_bytes(client: &mut DuplexStream) -> [u8; 2] {
    let mut bytes = [0; 2];
    client.read_exact(&mut bytes).await.expect("a frame");
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_client_is_pinged_every_20_s_and_stays_connected_while_it_answers() {
    let mut client = connect(&Shutdown::new(), usize::MAX).await;
    let opened = Instant::now();
    for answer in [&PONG[..], HELLO, &PONG] {
        assert_eq!(next_two_bytes(&mut client).await, PING);
        client.write_all(answer).await.expect("sending");
    }
    assert_eq!(opened.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_a_ping_is_gone_at_the_next() {
    let mut client = connect(&Shutdown::new(), usize::MAX).await;
    let opened = Instant::now();
    assert_eq!(next_two_bytes(&mut client).await, PING);
    let end = client.read_u8().await.expect_err("the end");
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(opened.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_messages_wait_for_a_busy_handler_stays_connected() {
    let mut client = connect(&Shutdown::new(), 0).await;
    client.write_all(&HELLO.repeat(3)).await.expect("sending");
    // Its pongs wait behind its messages.
    for _ in 0..5 {
        assert_eq!(next_two_bytes(&mut client).await, PING);
    }
}
