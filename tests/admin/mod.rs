//! The admin listener.

mod access;
mod console;
mod metrics_and_health;
mod read_api;
mod stream;
