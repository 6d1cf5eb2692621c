//! An error that comes a thousand times a second is logged once, and then summed up.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the repetitions of an error are only counted.
const WINDOW: Duration = Duration::from_secs(10);

struct Repeated {
    since: Instant,
    repeated: u64,
}

/// Global as the log itself is; keyed by the kind of error.
static REPEATED: LazyLock<Mutex<HashMap<&'static str, Repeated>>> = LazyLock::new(Mutex::default);

/// Logs an error of the kind `what` and its cause, unless the same kind was logged less than ten seconds ago: then
/// it is only counted, for [`summarise_repeated`], and the cause is not even formatted.
pub fn log_rate_limited(what: &'static str, cause: &dyn Display) {
    if is_first(what) {
        // The lock is not held any more: should this panic, the panic hook comes here, too.
        tracing::error!(%cause, "{what}");
    }
}

/// Counts an error of the kind `what`, and tells whether it is to be logged.
fn is_first(what: &'static str) -> bool {
    let mut kinds = REPEATED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kind) = kinds.get_mut(what) {
        kind.repeated += 1;
        return false;
    }
    kinds.insert(
        what,
        Repeated {
            since: Instant::now(),
            repeated: 0,
        },
    );
    true
}

/// Looks after the kinds, for as long as it runs.
pub async fn summarise_repeated() {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        summarise();
    }
}

/// Logs the sum of each kind that is ten seconds old, and forgets those that are over.
fn summarise() {
    let mut kinds = REPEATED.lock().unwrap_or_else(PoisonError::into_inner);
    kinds.retain(|what, kind| {
        let age = kind.since.elapsed();
        if age < WINDOW {
            return true;
        }
        if kind.repeated == 0 {
            return false;
        }
        tracing::error!(
            repeated = kind.repeated,
            seconds = age.as_secs(),
            "{what}, repeatedly"
        );
        kind.since = Instant::now();
        kind.repeated = 0;
        true
    });
}
