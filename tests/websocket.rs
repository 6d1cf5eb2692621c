//! `daybook::websocket`: how it closes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::in_process::InProcessServer;
use crate::common::{TIMEOUT, db};
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::get;
use daybook::{Context, WebSocket, websocket};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message as Sent, WebSocket as Socket};

/// A server with one WebSocket, at `/`.
fn start<F>(
    handler: impl FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    keys: &[(&str, &str)],
) -> InProcessServer
where
    F: Future<Output = ()> + Send + 'static,
{
    let open = async move |upgrade: WebSocketUpgrade, context: Context| {
        websocket(upgrade, &context, handler)
    };
    InProcessServer::start(Router::new().route("/", get(open)), keys)
}

async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Opens the WebSocket, and returns the id of its record, too.
fn connect(server: &InProcessServer) -> (Socket<TcpStream>, i64) {
    let stream = TcpStream::connect(server.addr()).expect("connecting");
    stream
        .set_read_timeout(Some(TIMEOUT))
        .expect("setting the read timeout");
    let (socket, response) = tungstenite::client("ws://h/", stream).expect("a handshake");
    let id = response.headers()["record-id"].to_str().expect("text");
    (socket, id.parse().expect("a number"))
}

fn assert_echo(socket: &mut Socket<TcpStream>, text: &str) {
    socket.send(Sent::text(text)).expect("sending");
    assert_eq!(socket.read().expect("an echo"), Sent::text(text));
}

/// Reads the server's Close, and completes the closing handshake.
fn close_code(socket: &mut Socket<TcpStream>) -> CloseCode {
    let code = loop {
        match socket.read().expect("a message") {
            Sent::Close(frame) => break frame.expect("a code").code,
            message => assert!(message.is_text(), "{message}"),
        }
    };
    let end = socket.read().expect_err("the end");
    assert!(matches!(end, Error::ConnectionClosed), "{end}");
    code
}

#[test]
fn a_websocket_echoes_and_is_recorded_before_it_opens() {
    let server = start(echo, &[]);
    let (mut socket, id) = connect(&server);
    assert_eq!(db::row(&server.db(), id).expect("its row").path, "/");
    assert_echo(&mut socket, "first");
    assert_echo(&mut socket, "second");
    socket.close(None).expect("closing");
    let reply = socket.read().expect("the server's Close");
    assert!(reply.is_close(), "{reply}");
}

#[test]
fn a_handler_that_returns_closes_with_1000() {
    let server = start(async |socket| drop(socket), &[]);
    let (mut socket, _) = connect(&server);
    assert_eq!(close_code(&mut socket), CloseCode::Normal);
}

#[test]
fn a_stop_sends_1001_and_waits_for_the_handlers_end() {
    let has_ended = Arc::new(AtomicBool::new(false));
    let handler = {
        let has_ended = has_ended.clone();
        async move |socket: WebSocket| {
            echo(socket).await;
            // Longer than a stop waits for a handler of axum's own type.
            tokio::time::sleep(Duration::from_millis(1500)).await;
            has_ended.store(true, Ordering::Relaxed);
        }
    };
    let server = start(handler, &[("shutdown.grace", "30s")]);
    let (mut socket, _) = connect(&server);
    assert_echo(&mut socket, "open");
    let stopping = std::thread::spawn(move || drop(server));
    assert_eq!(close_code(&mut socket), CloseCode::Away);
    stopping.join().expect("a clean stop");
    assert!(has_ended.load(Ordering::Relaxed));
}

#[test]
fn a_stop_ends_a_handler_that_only_sends() {
    let only_sends = async |socket: WebSocket| {
        while socket.send(Message::text("tick")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let server = start(only_sends, &[("shutdown.grace", "30s")]);
    let (mut socket, _) = connect(&server);
    assert_eq!(socket.read().expect("a message"), Sent::text("tick"));
    let stopping = std::thread::spawn(move || drop(server));
    assert_eq!(close_code(&mut socket), CloseCode::Away);
    stopping.join().expect("a clean stop");
}

#[test]
fn a_handler_gets_what_the_client_sends_between_the_two_closes() {
    let texts = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let texts = texts.clone();
        async move |mut socket: WebSocket| {
            while let Some(message) = socket.recv().await {
                let text = message.into_text().expect("text").to_string();
                texts.lock().expect("no panic").push(text);
            }
        }
    };
    let server = start(handler, &[("shutdown.grace", "30s")]);
    let (socket, _) = connect(&server);
    let mut stream = socket.get_ref().try_clone().expect("a second handle");
    let stopping = std::thread::spawn(move || drop(server));
    // The server's Close: its head, its code, and its reason.
    let mut close = [0; 4 + "the server stops".len()];
    stream.read_exact(&mut close).expect("a Close");
    assert_eq!(close[..4], [0x88, 18, 0x03, 0xe9]);
    // "late" in one frame, and a Close without a code; both masked with zero.
    let late = b"\x81\x84\0\0\0\0late\x88\x80\0\0\0\0";
    stream.write_all(late).expect("sending");
    stopping.join().expect("a clean stop");
    assert_eq!(*texts.lock().expect("no panic"), ["late"]);
}

#[test]
fn a_client_that_does_not_close_delays_no_stop() {
    // Dropping the server asserts that it did not need the whole grace period.
    let server = start(echo, &[("shutdown.grace", "8s")]);
    let (_silent, _) = connect(&server);
    drop(server);
}

#[test]
fn a_client_that_does_not_read_delays_no_stop() {
    let floods = async |socket: WebSocket| {
        let message = Message::text("x".repeat(100_000));
        while socket.send(message.clone()).await.is_ok() {}
    };
    let server = start(floods, &[("shutdown.grace", "8s")]);
    let (mut socket, _) = connect(&server);
    assert!(socket.read().expect("a message").is_text());
    drop(server);
}

#[test]
fn a_handler_that_does_not_end_makes_the_stop_unclean_after_the_grace_period() {
    let server = start(
        async |_| std::future::pending().await,
        &[("shutdown.grace", "300ms")],
    );
    let (_socket, _) = connect(&server);
    let reason = server.stop_uncleanly();
    assert!(reason.contains("shutdown.grace ended before"), "{reason}");
}

#[test]
fn a_handler_that_panics_ends_its_connection_alone() {
    let panics = async |mut socket: WebSocket| {
        let message = socket.recv().await;
        assert_eq!(message, Some(Message::text("fine")), "in a WebSocket");
        echo(socket).await;
    };
    let server = start(panics, &[]);
    let (mut other, _) = connect(&server);
    other.send(Sent::text("fine")).expect("sending");
    let (mut socket, _) = connect(&server);
    socket.send(Sent::text("not fine")).expect("sending");
    let end = socket.read().expect_err("no Close");
    assert!(matches!(end, Error::Protocol(_) | Error::Io(_)), "{end}");
    assert_echo(&mut other, "still here");
}
