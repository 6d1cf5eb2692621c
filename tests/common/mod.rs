//! What every black-box test shares: the real server in a temporary directory, a client that sends raw bytes, a look
//! into the database file, and the one way to wait.

pub mod client;
pub mod command;
pub mod config;
pub mod db;
pub mod disk;
pub mod in_process;
pub mod load;
pub mod locks;
pub mod notes;
pub mod seed;
pub mod server;
pub mod supervisor;
pub mod syncs;

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for anything that must happen on a loaded machine, short enough to fail a test in time.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What a look at the world gives: `true`/`Some(found)`, or "not yet".
pub trait Outcome {
    type Found;
    fn found(self) -> Option<Self::Found>;
}

impl Outcome for bool {
    type Found = ();
    fn found(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Outcome for Option<T> {
    type Found = T;
    fn found(self) -> Self {
        self
    }
}

/// Looks again and again until `look` finds something. Panics with `what` when that takes longer than `within`.
pub fn eventually<T: Outcome>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> T,
) -> T::Found {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look().found() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(Duration::from_millis(3));
    }
}
