//! The admin listener.

mod access;
mod filters;
mod metrics_and_health;
mod minutes;
mod openapi;
mod pages;
mod parameters;
mod read_api;
mod records;
mod reserved_connections;
mod state;
mod stats;
mod stream;
