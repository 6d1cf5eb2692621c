//! daybook: an HTTP service that commits a record of each request to SQLite before it responds.
//!
//! An application declares an [`App`] and hands it to [`run`], which is the whole program:
//!
//! ```no_run
//! use daybook::axum::{Router, routing::get};
//! use daybook::{App, BoxError, Context};
//!
//! fn main() -> std::process::ExitCode {
//!     daybook::run(App::new("hello", routes))
//! }
//!
//! fn routes(_: &Context) -> Result<Router, BoxError> {
//!     Ok(Router::new().route("/", get(async || "hello\n")))
//! }
//! ```
//!
//! Handlers are axum's. They take a [`RequestStore`] for the database and a [`Context`] for the rest.
//!
//! | feature | adds |
//! | --- | --- |
//! | `mimalloc` (on by default) | the allocator of the whole program |
//! | `testing` | `testing::Server`, which runs an application in its own tests |
//! | `websocket` | `websocket`, which pings, and closes with 1001 at a stop |
//!
//! # Read the source
//!
//! 1. `app` and `context`: what an application declares ([`App`]), and what its code gets ([`Context`]). `main.rs` is the
//!    smallest one.
//! 2. `serve`: the lifecycle: open the database, listen, serve, drain.
//! 3. `http`: from a socket to a recorded response. Start with `http/mod.rs`, then `http/recorder.rs`.
//! 4. `store`: the queue, the writer thread, the lock between replicas.
//! 5. `jobs`: work on a schedule, the application's and daybook's own; `retention` deletes old records, `minutes` adds them up.
//! 6. `query`: which recorded requests somebody wants, their pages and figures.
//! 7. `admin`: health, metrics and the recorded requests, for the operator.
//! 8. `process` and `config`: what surrounds the server.
//!
//! ARCHITECTURE.md shows how these parts work together.

#![warn(missing_docs, unnameable_types)]
// These panic when the descriptor fails, and block when its reader is stuck.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod admin;
mod admin_client;
mod app;
mod cli;
mod closed;
mod config;
mod context;
mod healthcheck;
mod http;
mod jobs;
mod lock_file;
mod metrics;
mod minutes;
mod process;
mod query;
mod readiness;
mod rejected;
mod retention;
mod serve;
mod shutdown;
mod store;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "websocket")]
mod websocket;

pub use app::{App, Migrations};
pub use cli::run;
pub use config::Secret;
pub use context::{AppStore, BoxError, Context};
pub use http::body::{BodyLayer, BodyService, body_limit, streamed_body};
pub use http::request_store::RequestStore;
pub use http::unrecorded::{Unrecorded, UnrecordedService, unrecorded};
pub use jobs::Schedule;
pub use rejected::Rejected;
pub use store::{ReadError, WriteError};
#[cfg(feature = "websocket")]
pub use websocket::{WebSocket, websocket};
// An application takes these from here, so that their versions are daybook's.
pub use {axum, prometheus, rusqlite};

#[doc(hidden)] // For the code of `migrations!`.
pub mod __private {
    pub use include_dir;
}

/// musl's own allocator is slow under this load.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The message of a panic.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any};

    use super::*;

    #[test]
    fn a_panic_s_message_is_its_text_where_it_has_one() {
        let message = |panic: fn()| panic_message(&*catch_unwind(panic).unwrap_err());
        assert_eq!(message(|| panic!("fixed")), "fixed");
        assert_eq!(message(|| panic!("number {}", 5)), "number 5");
        assert_eq!(message(|| panic_any(5)), "no message");
    }
}
