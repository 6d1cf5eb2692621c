//! Notifies systemd of the server's state. Does nothing where systemd did not start the process.
//!
//! A write to systemd's socket blocks while its queue is full, so it runs on tokio's blocking threads, never on the event
//! loop. Call these functions within a tokio runtime.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::spawn_blocking;

use crate::store::{Store, WriterState};

/// READY=1: the database is open and the server listens.
pub fn notify_ready() {
    spawn_blocking(|| notify(NotifyState::Ready));
}

/// STOPPING=1
pub fn notify_stopping() {
    spawn_blocking(|| notify(NotifyState::Stopping));
}

/// Sends WATCHDOG=1 twice in each watchdog interval, unless one commit has taken longer than the interval. A stuck event
/// loop does not get here. Waiting for the write lock is fine: another process holds it, and a restart would not help.
pub async fn feed_watchdog(store: Store) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        if !is_stuck(&store, interval) {
            // Await it, so that at most one is in flight. It fails only when the runtime ends.
            let _ = spawn_blocking(|| notify(NotifyState::Watchdog)).await;
        }
    }
}

fn is_stuck(store: &Store, interval: Duration) -> bool {
    let (state, since) = store.writer().current();
    state == WriterState::Committing && since > interval
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "could not notify systemd");
    }
}
