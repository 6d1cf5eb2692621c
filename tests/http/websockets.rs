//! axum's own WebSockets: the request is recorded, the socket stays open and is counted, and a shutdown ends it.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::client::{self, Client};
use crate::common::in_process::InProcessServer;
use crate::common::{TIMEOUT, db, eventually};
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use tungstenite::{Message as Sent, WebSocket as Socket};

/// A client's opening handshake. The key is the example of RFC 6455.
const HANDSHAKE: &str = "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn routes() -> Router {
    Router::new()
        .route(
            "/echo",
            get(async |upgrade: WebSocketUpgrade| -> Response { upgrade.on_upgrade(echo) }),
        )
        .route(
            "/deaf",
            get(async |upgrade: WebSocketUpgrade| -> Response { upgrade.on_upgrade(deaf) }),
        )
        .route("/plain", get(async || "no WebSocket here"))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_))
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}

/// Neither reads nor sends.
async fn deaf(_socket: WebSocket) {
    std::future::pending().await
}

fn connect(server: &InProcessServer, path: &str) -> (Socket<TcpStream>, i64) {
    let stream = TcpStream::connect(&server.listen).expect("connecting");
    stream
        .set_read_timeout(Some(TIMEOUT))
        .expect("setting the read timeout");
    let (socket, response) =
        tungstenite::client(format!("ws://h{path}"), stream).expect("a handshake");
    let id = response.headers()["record-id"].to_str().expect("text");
    (socket, id.parse().expect("a number"))
}

fn assert_echo(socket: &mut Socket<TcpStream>, text: &str) {
    socket.send(Sent::text(text)).expect("sending");
    assert_eq!(socket.read().expect("an echo"), Sent::text(text));
}

fn open_connections(server: &InProcessServer) -> f64 {
    let metrics = client::get(&server.admin, "/metrics");
    let sample = |line: &str| {
        line.strip_prefix("daybook_connections{")?
            .split_once(' ')?
            .1
            .parse()
            .ok()
    };
    metrics.text().lines().find_map(sample).expect("the metric")
}

#[test]
fn a_websocket_is_recorded_before_it_opens_and_stays_open() {
    let server = InProcessServer::start(
        routes(),
        &[
            ("http.idle_timeout", "100ms"),
            ("http.header_timeout", "100ms"),
        ],
    );
    let (mut socket, id) = connect(&server, "/echo");
    let row = db::row(&server.db(), id).expect("its row");
    assert_eq!((row.method.as_str(), row.path.as_str()), ("GET", "/echo"));
    for text in ["first", "second"] {
        assert_echo(&mut socket, text);
        // Outlives the HTTP timeouts: an idle connection is closed meanwhile.
        let mut idle = Client::connect(&server.listen);
        assert_eq!(idle.read_to_end().expect("an orderly end"), b"");
    }
    socket.close(None).expect("closing");
    eventually("it is no longer counted", TIMEOUT, || {
        open_connections(&server) == 0.0
    });
}

#[test]
fn a_message_sent_together_with_the_handshake_arrives() {
    let server = InProcessServer::start(routes(), &[]);
    let mut client = Client::connect(&server.listen);
    // "Hello" in one masked text frame (RFC 6455 5.7).
    let frame = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    client.send([HANDSHAKE.as_bytes(), frame].concat());
    assert_eq!(client.response_to("GET").status, 101);
    client.shut_down_sending();
    let received = client.read_to_end().expect("an orderly end");
    assert!(received.starts_with(b"\x81\x05Hello"), "{received:?}");
}

#[test]
fn a_websocket_counts_towards_the_connection_limit() {
    let server = InProcessServer::start(routes(), &[("http.connections_max", "1")]);
    let (mut socket, _) = connect(&server, "/echo");
    let mut waiting = Client::connect(&server.listen);
    waiting.send("GET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_echo(&mut socket, "still alone");
    assert_eq!(open_connections(&server), 1.0);
    assert!(waiting.is_silent());
    socket.close(None).expect("closing");
    drop(socket);
    assert_eq!(waiting.response().status, 200);
}

#[test]
fn a_shutdown_ends_websockets_and_waits_for_no_handler() {
    // Dropping the server asserts an orderly exit within the grace period.
    let server = InProcessServer::start(routes(), &[("shutdown.grace", "8s")]);
    let (mut echoing, _) = connect(&server, "/echo");
    assert_echo(&mut echoing, "open");
    let (_deaf, _) = connect(&server, "/deaf");
    assert_eq!(open_connections(&server), 2.0);
    drop(server);
    assert!(echoing.read().is_err(), "the socket has ended");
}

#[test]
fn an_upgrade_that_no_handler_accepts_is_an_ordinary_request() {
    let server = InProcessServer::start(routes(), &[]);
    let mut client = Client::connect(&server.listen);
    let request = HANDSHAKE.replace("/echo", "/plain");
    for id in [1, 2] {
        client.send(&request);
        let response = client.response();
        assert_eq!(
            (response.status, response.record_id()),
            (200, Some(id)),
            "{}",
            response.head
        );
    }
    client.send(request.replace("Connection: Upgrade", "Connection: Upgrade, close"));
    assert_eq!(client.response().record_id(), Some(3));
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
}

#[test]
fn a_client_that_offers_an_upgrade_and_sends_on_reads_its_response() {
    let server = InProcessServer::start(routes(), &[]);
    let mut client = Client::connect(&server.listen);
    client.send(
        HANDSHAKE
            .replace("/echo", "/plain")
            .replace("Connection: Upgrade", "Connection: Upgrade, close"),
    );
    // An immediate close would reset the connection, because these bytes are unread.
    client.send(vec![b'x'; 500_000]);
    assert_eq!(client.response().status, 200);
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
}

#[test]
fn a_handler_reads_the_end_of_its_websocket_at_a_shutdown() {
    static HAS_SEEN_END: AtomicBool = AtomicBool::new(false);
    async fn read_to_end(mut socket: WebSocket) {
        while let Some(Ok(_)) = socket.recv().await {}
        HAS_SEEN_END.store(true, Ordering::Relaxed);
    }
    let open = async |upgrade: WebSocketUpgrade| -> Response { upgrade.on_upgrade(read_to_end) };
    let server = InProcessServer::start(Router::new().route("/read", get(open)), &[]);
    let (_socket, _) = connect(&server, "/read");
    assert_eq!(open_connections(&server), 1.0);
    drop(server);
    assert!(HAS_SEEN_END.load(Ordering::Relaxed));
}
