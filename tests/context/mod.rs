//! The means of an application's code.

mod changed;
mod store;
