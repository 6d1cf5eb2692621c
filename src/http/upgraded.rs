//! The connection of a WebSocket learns from this when its handler has ended.

use tokio::sync::watch;

/// An extension of a 101: its handler closes the socket itself when the replica stops.
#[derive(Clone)]
pub struct HandlerEnd(watch::Receiver<()>);

/// The handler runs until this is dropped, by a panic too.
#[cfg(feature = "websocket")]
pub struct HandlerRuns(#[expect(dead_code, reason = "it is dropped")] watch::Sender<()>);

#[cfg(feature = "websocket")]
pub fn handler_runs() -> (HandlerRuns, HandlerEnd) {
    let (runs, end) = watch::channel(());
    (HandlerRuns(runs), HandlerEnd(end))
}

impl HandlerEnd {
    /// Waits for the handler's end.
    pub async fn wait(&mut self) {
        // It gets no values; an error says that the sender was dropped.
        while self.0.changed().await.is_ok() {}
    }
}
