//! The black-box tests. They start the real program, on port 0 and in a temporary directory; the folders are the rooms of
//! `src/`. One binary: it links once. One test: `cargo test --test all http::timeouts`.

mod admin;
mod app;
mod cli;
mod command_line;
mod common;
mod context;
mod cookbook;
mod documentation;
mod healthcheck;
mod http;
mod jobs;
mod process;
mod retention;
mod store;
mod telemetry;
mod testing;
mod websocket;
