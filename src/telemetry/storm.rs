//! An error that comes a thousand times a second is logged once, and then summed up.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the repetitions of an error are only counted.
const WINDOW: Duration = Duration::from_secs(10);

struct Storm {
    since: Instant,
    repeated: u64,
}

/// Global as the log itself is; keyed by the kind of error.
static STORMS: LazyLock<Mutex<HashMap<&'static str, Storm>>> = LazyLock::new(Mutex::default);

/// Logs an error of the kind `what` and its cause, unless the same kind was logged less than ten seconds ago: then
/// it is only counted, for [`summarise_storms`], and the cause is not even formatted.
pub fn log_storm(what: &'static str, cause: &dyn Display) {
    if is_first(what) {
        // The lock is not held any more: should this panic, the panic hook comes here, too.
        tracing::error!(%cause, "{what}");
    }
}

/// Counts an error of the kind `what`, and tells whether it is to be logged.
fn is_first(what: &'static str) -> bool {
    let mut storms = STORMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(storm) = storms.get_mut(what) {
        storm.repeated += 1;
        return false;
    }
    storms.insert(
        what,
        Storm {
            since: Instant::now(),
            repeated: 0,
        },
    );
    true
}

/// Looks after the storms, for as long as it runs.
pub async fn summarise_storms() {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        summarise();
    }
}

/// Logs the sum of each storm that is ten seconds old, and forgets those that are over.
fn summarise() {
    let mut storms = STORMS.lock().unwrap_or_else(PoisonError::into_inner);
    storms.retain(|what, storm| {
        let age = storm.since.elapsed();
        if age < WINDOW {
            return true;
        }
        if storm.repeated == 0 {
            return false;
        }
        tracing::error!(
            repeated = storm.repeated,
            seconds = age.as_secs(),
            "{what}, repeatedly"
        );
        storm.since = Instant::now();
        storm.repeated = 0;
        true
    });
}
