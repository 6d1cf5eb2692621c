//! Helpers of the black-box tests. Start with [`server::Server`], the real program in a temporary directory, and
//! [`client`], which sends raw bytes. Tests wait only by [`eventually`].

pub mod application;
pub mod client;
pub mod command;
pub mod config;
pub mod db;
pub mod disk;
pub mod events;
pub mod in_process;
pub mod load;
pub mod locks;
pub mod notes;
pub mod process;
pub mod program;
pub mod seed;
pub mod server;
pub mod supervisor;
pub mod syncs;

use std::thread;
use std::time::{Duration, Instant};

/// Enough for anything that must happen, even on a loaded machine.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A condition to wait for: `true` or `Some(value)` is met.
pub trait Condition {
    type Value;
    fn value(self) -> Option<Self::Value>;
}

impl Condition for bool {
    type Value = ();
    fn value(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Condition for Option<T> {
    type Value = T;
    fn value(self) -> Self {
        self
    }
}

/// Polls `check` until it is met and returns its value. Panics with `what` after `timeout`.
pub fn eventually<T: Condition>(
    what: &str,
    timeout: Duration,
    mut check: impl FnMut() -> T,
) -> T::Value {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = check().value() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {timeout:?}: {what}");
        thread::sleep(Duration::from_millis(3));
    }
}
