//! Questions about the recorded requests: filters, times, pages.
//!
//! The read API, the stream and the command line all ask here. This folder knows neither HTTP nor the command line: it takes
//! parameters as pairs of name and value, and works on any connection to the database. It does not bound a read: the
//! caller does, by a deadline, the read pool, or a small limit.

mod filter;
mod ids;
mod page;
mod parameter;
mod status;
#[cfg(test)]
mod test_database;
mod time;

pub(crate) use filter::Filter;
pub(crate) use page::{Cursor, Page, page};
pub(crate) use parameter::{ParameterError, unknown};
pub(crate) use time::Time;
