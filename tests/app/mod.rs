//! What an application declares: every subcommand checks it.

mod config;
mod migrations;
