//! [`websocket`](websocket()): a WebSocket that finds dead clients, and at a stop closes the others with 1001.

mod pump;
#[cfg(test)]
mod tests;

use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::Response;
use tokio::sync::mpsc;

use crate::context::Context;
use crate::http::upgraded::handler_runs;

/// Opens a WebSocket, and runs `handler` on it. Return the response; the request is recorded before it leaves.
///
/// In addition to axum's own [`on_upgrade`](WebSocketUpgrade::on_upgrade):
///
/// - It sends a ping every 20 s, so that proxies keep the connection. A client that sends nothing, not even a pong, from one
///   ping to the next counts as gone.
/// - When the replica stops, it sends Close 1001 ("going away"). Then [`recv`](WebSocket::recv) returns what the client has
///   still sent, and `None` once the client has closed, or after a second. The handler has `shutdown.grace` to return;
///   longer, and the process exits with 1.
/// - When the handler returns earlier, it sends Close 1000.
///
/// Set limits on `upgrade`: by default axum accepts messages of 64 MiB.
///
/// ```
/// use daybook::axum::extract::WebSocketUpgrade;
/// use daybook::axum::extract::ws::Message;
/// use daybook::axum::response::Response;
/// use daybook::axum::{Router, routing::any};
/// use daybook::{App, BoxError, Context, WebSocket, websocket};
///
/// fn routes(_: &Context) -> Result<Router, BoxError> {
///     Ok(Router::new().route("/echo", any(echo)))
/// }
///
/// async fn echo(upgrade: WebSocketUpgrade, context: Context) -> Response {
///     websocket(upgrade.max_message_size(64 * 1024), &context, async |mut socket: WebSocket| {
///         while let Some(message) = socket.recv().await {
///             if socket.send(message).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
///
/// use tungstenite::Message as Sent;
///
/// let server = daybook::testing::Server::start(App::new("echo", routes));
/// let url = format!("ws://{}/echo", server.addr());
/// let stream = std::net::TcpStream::connect(server.addr()).expect("a connection");
/// let (mut client, _) = tungstenite::client(url, stream).expect("a WebSocket");
/// client.send(Sent::text("hello")).expect("sending");
/// assert_eq!(client.read().expect("a message"), Sent::text("hello"));
/// ```
pub fn websocket<F>(
    upgrade: WebSocketUpgrade,
    context: &Context,
    handler: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let stopping = context.stopping();
    let (runs, end) = handler_runs();
    let mut response = upgrade.on_upgrade(async move |socket| {
        let _runs = runs;
        // One message each: a slow handler slows its client down, and a slow client its handler.
        let (received, incoming) = mpsc::channel(1);
        let (outgoing, to_send) = mpsc::channel(1);
        tokio::join!(
            pump::pump(socket, received, to_send, stopping),
            handler(WebSocket { incoming, outgoing }),
        );
    });
    response.extensions_mut().insert(end);
    response
}

/// An open WebSocket of [`websocket`](websocket()).
pub struct WebSocket {
    incoming: mpsc::Receiver<Message>,
    outgoing: mpsc::Sender<Message>,
}

impl WebSocket {
    /// The client's next text or binary message. `None`: the client has closed or is gone, or the replica stops. Pings,
    /// pongs and closing messages need no handler.
    ///
    /// Nothing is lost if the future is dropped, so it can be a branch of `tokio::select!`.
    pub async fn recv(&mut self) -> Option<Message> {
        self.incoming.recv().await
    }

    /// Sends a message. It returns as soon as the message may leave, before the client has it.
    ///
    /// # Errors
    /// The WebSocket has ended, or the replica stops.
    pub async fn send(&self, message: Message) -> Result<(), axum::Error> {
        let sent = self.outgoing.send(message).await;
        sent.map_err(|_| axum::Error::new("the WebSocket has ended"))
    }
}
