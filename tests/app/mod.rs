//! An application's declarations.

mod config;
mod migrations;
mod mistakes;
