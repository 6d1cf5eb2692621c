//! The phases of a shutdown, and the signals that begin it.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How far a shutdown has come; it only moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No shutdown.
    Running,
    /// Unready and still accepting; every answer ends its connection.
    Draining,
    /// Nothing new is accepted, idle connections are closed, streams end, open requests go on.
    Closing,
    /// The grace period is over: what is still open is answered 503.
    Expired,
}

/// The one that moves the phase on.
pub struct Shutdown(watch::Sender<Phase>);

impl Shutdown {
    /// Running.
    #[allow(clippy::new_without_default)] // Nothing about a lifecycle is a default.
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }

    /// For whoever has to know.
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }

    /// Moves on.
    pub fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }
}

/// Waits until a phase has been reached. If nobody can move it any more, it never is.
pub async fn reached(watch: &mut watch::Receiver<Phase>, phase: Phase) {
    if watch.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A request to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    /// The signal's name.
    pub fn signal(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// What a shell reports of a process that this signal has ended.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Receives SIGINT and SIGTERM from now on.
///
/// # Errors
/// When a handler cannot be installed.
pub fn signals() -> std::io::Result<mpsc::Receiver<Stop>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            let stop = tokio::select! {
                _ = interrupt.recv() => Stop::Interrupt,
                _ = terminate.recv() => Stop::Terminate,
            };
            if sender.send(stop).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
