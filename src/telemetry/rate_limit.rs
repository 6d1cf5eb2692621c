//! Logs a repeated error once, and then its count every ten seconds.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Repetitions within this time are only counted.
const WINDOW: Duration = Duration::from_secs(10);

struct Repeated {
    since: Instant,
    repeated: u64,
}

/// One a process, like the log. The key is the kind of error.
static REPEATED: LazyLock<Mutex<HashMap<&'static str, Repeated>>> = LazyLock::new(Mutex::default);

/// Logs an error of this kind with its cause. A repetition is only counted, for [`summarise_repeated`], and its cause is not
/// formatted.
pub fn log_rate_limited(kind: &'static str, cause: &dyn Display) {
    if is_first(kind) {
        // The lock is released: if this panics, the panic hook calls this function again.
        tracing::error!(%cause, "{kind}");
    }
}

/// Counts an error. Returns whether to log it.
fn is_first(kind: &'static str) -> bool {
    let mut kinds = REPEATED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = kinds.get_mut(kind) {
        entry.repeated += 1;
        return false;
    }
    kinds.insert(
        kind,
        Repeated {
            since: Instant::now(),
            repeated: 0,
        },
    );
    true
}

/// Runs [`summarise`] every second.
pub async fn summarise_repeated() {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        summarise();
    }
}

/// Logs the count of each kind whose window is over, and drops kinds without repetitions.
fn summarise() {
    let mut kinds = REPEATED.lock().unwrap_or_else(PoisonError::into_inner);
    kinds.retain(|kind, entry| {
        let age = entry.since.elapsed();
        if age < WINDOW {
            return true;
        }
        if entry.repeated == 0 {
            return false;
        }
        tracing::error!(
            repeated = entry.repeated,
            seconds = age.as_secs(),
            "{kind}, repeatedly"
        );
        entry.since = Instant::now();
        entry.repeated = 0;
        true
    });
}
