//! The phases of a shutdown, and the signals that begin it.

use tokio::signal::unix::{Signal, SignalKind, signal};
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
    /// SIGHUP: the terminal was closed, or somebody expects it to reload the configuration.
    Hangup,
    /// SIGINT.
    Interrupt,
    /// SIGQUIT, with which other servers are stopped in order.
    Quit,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    /// The signal's name.
    pub fn signal(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// What a shell reports of a process that this signal has ended.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Hangup => 129,
            Self::Interrupt => 130,
            Self::Quit => 131,
            Self::Terminate => 143,
        }
    }
}

/// Receives SIGHUP, SIGINT, SIGQUIT and SIGTERM from now on, and keeps SIGUSR1 and SIGUSR2 from ending the process. Under
/// `nohup`, SIGHUP stays ignored.
///
/// # Errors
/// When a handler cannot be installed.
pub fn signals() -> std::io::Result<mpsc::Receiver<Stop>> {
    // Asked before a handler is there, which would end what `nohup` has asked for.
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
            let stop = tokio::select! {
                () = received(&mut hangup) => Stop::Hangup,
                _ = interrupt.recv() => Stop::Interrupt,
                _ = quit.recv() => Stop::Quit,
                _ = terminate.recv() => Stop::Terminate,
                _ = user_defined1.recv() => {
                    tracing::warn!("SIGUSR1 is ignored: it means nothing to daybook");
                    continue;
                }
                _ = user_defined2.recv() => {
                    tracing::warn!("SIGUSR2 is ignored: it means nothing to daybook");
                    continue;
                }
            };
            if sender.send(stop).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Never, where there is nothing to wait for.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether the process that started this one has set a signal to be ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Where /proc is not to be read, nobody can be asked: a handler is the safer choice.
    mask.is_some_and(|mask| mask & (1 << (kind.as_raw_value() - 1)) != 0)
}
