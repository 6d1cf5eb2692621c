//! Moves messages between a socket and its handler, sends pings, and closes.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::ws::{CloseCode, CloseFrame, Message, WebSocket, close_code};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep};

/// Below the idle timeouts of proxies, most of which are 60 s.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long a client has to respond to a Close. At a stop the connection decides; see `http/connection.rs`.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns when the socket has ended; dropping the channels then tells the handler.
pub(super) async fn pump(
    socket: WebSocket,
    received: mpsc::Sender<Message>,
    to_send: mpsc::Receiver<Message>,
    stopping: impl Future<Output = ()>,
) {
    let (sink, stream) = socket.split();
    // Whether anything was heard since the last ping.
    let heard = AtomicBool::new(true);
    // Until the handler has room for a message, the client's pongs wait behind it.
    let is_alive = || heard.swap(false, Relaxed) || received.capacity() == 0;
    tokio::select! {
        () = receive(stream, &received, &heard) => {}
        () = send(sink, to_send, is_alive, stopping) => {}
    }
}

/// Until the client has closed, or is gone.
async fn receive(
    mut stream: SplitStream<WebSocket>,
    received: &mpsc::Sender<Message>,
    heard: &AtomicBool,
) {
    while let Some(Ok(message)) = stream.next().await {
        heard.store(true, Relaxed);
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            // Fails if the handler has returned. The client's Close is still to come.
            let _ = received.send(message).await;
        }
    }
}

/// Until the client has had time to respond to a Close, or cannot be sent to.
async fn send(
    mut sink: SplitSink<WebSocket, Message>,
    mut to_send: mpsc::Receiver<Message>,
    is_alive: impl Fn() -> bool,
    stopping: impl Future<Output = ()>,
) {
    let mut stopping = pin!(stopping);
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    let mut is_stopping = false;
    loop {
        let message = tokio::select! {
            biased;
            () = &mut stopping, if !is_stopping => {
                is_stopping = true;
                // A message that was accepted is still sent.
                to_send.close();
                continue;
            }
            message = to_send.recv() => message,
            _ = pings.tick() => match is_alive() {
                true => Some(Message::Ping(Bytes::new())),
                false => return,
            },
        };
        let Some(message) = message else {
            break;
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
    let close = match is_stopping {
        true => frame(close_code::AWAY, "the server stops"),
        false => frame(close_code::NORMAL, ""),
    };
    if sink.send(close).await.is_ok() {
        match is_stopping {
            true => std::future::pending().await,
            false => sleep(CLOSE_TIMEOUT).await,
        }
    }
}

fn frame(code: CloseCode, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}
