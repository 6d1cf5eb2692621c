//! daybook: every request is on disk before it is answered.
//!
//! To read it in an hour, in this order: [`handler`] (the file you change), `recorder` (what surrounds it), [`store`]
//! (the queue, the writer, the lock), `guard` and `connection` (HTTP by the book), [`serve`] (start, run, drain),
//! `admin` (what the operator sees). ARCHITECTURE.md has the bird's eye view.

#![warn(missing_docs)]
// They panic where the descriptor fails, and block where its reader is stuck.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod admin;
pub mod config;
pub mod handler;
pub mod healthcheck;
mod http;
mod metrics;
mod process;
mod readiness;
mod rejected;
pub mod serve;
pub mod shutdown;
pub mod store;
pub mod telemetry;

pub use http::listen::Inherited;
pub use process::replica_number;

/// What a panic said.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
