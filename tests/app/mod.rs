//! An application's declarations.

mod config;
mod migrations;
