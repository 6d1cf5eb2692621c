//! The phases of a shutdown, and the signals that start one.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// The progress of a shutdown; it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// No shutdown.
    Running,
    /// Unready but still accepting; every response closes its connection.
    Draining,
    /// No new connections; idle ones are closed and streams end; open requests continue.
    Closing,
    /// The grace period is over: open requests get 503.
    Expired,
}

/// The sending side of the phase.
pub(crate) struct Shutdown(watch::Sender<Phase>);

impl Shutdown {
    /// Starts at [`Phase::Running`].
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }

    /// Receives every change of the phase.
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }

    /// Enters `phase`.
    pub fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }
}

/// Waits until `phase` is reached; forever if the [`Shutdown`] is dropped first.
pub(crate) async fn reached(watch: &mut watch::Receiver<Phase>, phase: Phase) {
    if watch.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A signal that stops the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGHUP: the terminal was closed. (daybook does not reload its configuration.)
    Hangup,
    /// SIGINT.
    Interrupt,
    /// SIGQUIT: a graceful stop, as nginx has it.
    Quit,
    /// SIGTERM.
    Terminate,
}

impl StopSignal {
    /// Such as `SIGTERM`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// 128 plus the signal number, as shells report it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Hangup => 129,
            Self::Interrupt => 130,
            Self::Quit => 131,
            Self::Terminate => 143,
        }
    }
}

/// Receives SIGHUP, SIGINT, SIGQUIT and SIGTERM, and ignores SIGUSR1 and SIGUSR2. Under `nohup`, SIGHUP stays ignored.
///
/// # Errors
/// A signal handler cannot be installed.
pub fn signals() -> std::io::Result<mpsc::Receiver<StopSignal>> {
    // Check first: installing a handler would undo what `nohup` did.
    let hangup_is_ignored = is_ignored(SignalKind::hangup());
    let mut hangup = match hangup_is_ignored {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut user_defined1 = signal(SignalKind::user_defined1())?;
    let mut user_defined2 = signal(SignalKind::user_defined2())?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                () = received(&mut hangup) => StopSignal::Hangup,
                _ = interrupt.recv() => StopSignal::Interrupt,
                _ = quit.recv() => StopSignal::Quit,
                _ = terminate.recv() => StopSignal::Terminate,
                _ = user_defined1.recv() => {
                    tracing::warn!("SIGUSR1 is ignored: it has no meaning for daybook");
                    continue;
                }
                _ = user_defined2.recv() => {
                    tracing::warn!("SIGUSR2 is ignored: it has no meaning for daybook");
                    continue;
                }
            };
            if sender.send(signal).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Waits forever if there is no handler.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether the parent process set the signal to be ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Where /proc cannot be read, a handler is the safer choice.
    mask.is_some_and(|mask| mask & (1 << (kind.as_raw_value() - 1)) != 0)
}
