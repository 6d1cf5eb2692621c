//! What systemd is told, where it started us; elsewhere all of this does nothing.
//!
//! Its socket takes only so many messages that it has not read, and then blocks the sender: so none is sent on the event
//! loop's own thread. To be used within a tokio runtime.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::spawn_blocking;

use crate::store::{Store, WriterState};

/// The replica listens and the database is open.
pub fn ready() {
    spawn_blocking(|| notify(NotifyState::Ready));
}

/// A shutdown has begun.
pub fn stopping() {
    spawn_blocking(|| notify(NotifyState::Stopping));
}

/// Tells the watchdog, twice in each of its intervals, that we live. The event loop proves itself by running this;
/// the writer is stuck when one commit outlasts the interval. Waiting for the write lock is not being stuck: that
/// is another process's doing, and a restart would not help.
pub async fn feed_watchdog(store: Store) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        if !is_stuck(&store, interval) {
            // Waited for, so that no more than one is on its way. It fails only where the runtime ends.
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
        tracing::warn!(%error, "systemd could not be told of our state");
    }
}
