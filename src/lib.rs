//! daybook: every request is on disk before it is answered.
//!
//! To read it in an hour, in this order: [`handler`] (the file you change), `recorder` (what surrounds it), [`store`]
//! (the queue, the writer, the lock), `guard` and `connection` (HTTP by the book), [`serve`] (start, run, drain),
//! `admin` (what the operator sees). ARCHITECTURE.md has the bird's eye view.

#![warn(missing_docs)]
// They panic where the descriptor fails, and block where its reader is stuck.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod accept;
mod admin;
mod admin_access;
mod answers;
mod app;
mod body;
mod client_address;
pub mod config;
mod connection;
mod descriptors;
mod drain;
mod ended;
mod guard;
pub mod handler;
pub mod healthcheck;
pub mod listen;
mod metrics;
mod readiness;
mod recorder;
pub mod replica_number;
mod scheduling;
pub mod serve;
pub mod shutdown;
pub mod store;
mod streamed;
mod systemd;
pub mod telemetry;

/// What a panic said.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
