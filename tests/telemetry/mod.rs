//! The log.

mod broken_output;
mod logs;
mod requests;
