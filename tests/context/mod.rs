//! What an application's code gets.

mod changed;
mod store;
