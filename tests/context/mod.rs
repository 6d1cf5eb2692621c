//! The means of an application's code.

mod changed;
mod metrics;
mod store;
