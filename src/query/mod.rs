//! Questions about the recorded requests: filters, times, pages, figures.
//!
//! The read API, the stream and the command line all ask here. This folder knows neither HTTP nor the command line: it takes
//! parameters as pairs of name and value, and works on any connection to the database. It does not bound a read: the
//! caller does, by a deadline, the read pool, or a small limit.

mod bucket;
mod count;
mod filter;
mod histogram;
mod ids;
mod list_query;
mod page;
mod parameter;
mod stats;
mod stats_query;
mod status;
mod tally;
#[cfg(test)]
mod test_database;
mod time;
mod top;

pub(crate) use filter::Filter;
pub(crate) use list_query::{LIMIT, LIMIT_MAX, ListQuery};
pub(crate) use page::{Cursor, page};
pub(crate) use parameter::{Parameter, ParameterError, unknown};
pub(crate) use stats::{Stats, stats};
pub(crate) use stats_query::StatsQuery;
pub(crate) use tally::{ROW_COLUMNS, Tally, TallyRow};
pub(crate) use time::Time;
