//! Tests of an application: [`Server`] runs it as the program would, and sends it requests.
//!
//! This module needs the feature `testing`. Turn it on for tests only:
//!
//! ```toml
//! [dev-dependencies]
//! daybook = { version = "0.1", features = ["testing"] }
//! ```

mod client;
mod server;

pub use client::Response;
pub use server::Server;
