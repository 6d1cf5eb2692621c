//! Figures over time: requests, bytes, statuses and durations for each bucket, and the most frequent values.
//!
//! Buckets of a minute and longer come from `daybook_minutes`, with the rows that it does not have yet. Shorter ones, and those
//! of a filter, are counted from the rows, newest first.

use std::time::Instant;

use rusqlite::Connection;
use serde::Serialize;
use utoipa::ToSchema;

use super::bucket::Bucket;
use super::count::Count;
use super::ids;
use super::stats_query::StatsQuery;
use super::tally::Tally;
use super::time::Time;
use super::top::TopValue;

/// Figures over time.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Stats {
    /// The time that is added up to one point.
    #[schema(value_type = String)]
    pub bucket: &'static str,
    /// The beginning of the first bucket.
    #[schema(value_type = String, format = DateTime)]
    pub since: Time,
    /// The end of the last bucket.
    #[schema(value_type = String, format = DateTime)]
    pub until: Time,
    /// False: `since` is later than asked for. There would be more than 1500 buckets, or `database.read_timeout` was over before
    /// the earlier ones were counted.
    pub complete: bool,
    /// All buckets together.
    pub total: Figures,
    /// In order of time, without a gap.
    pub buckets: Vec<BucketFigures>,
    pub top: Tops,
}

/// Requests added up.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Figures {
    pub requests: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    pub status: StatusCounts,
    /// Null: no request has a duration.
    pub duration_us: Option<Quantiles>,
}

/// Requests by the class of their status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct StatusCounts {
    #[serde(rename = "1xx")]
    pub informational: u64,
    #[serde(rename = "2xx")]
    pub successful: u64,
    #[serde(rename = "3xx")]
    pub redirected: u64,
    #[serde(rename = "4xx")]
    pub client_error: u64,
    #[serde(rename = "5xx")]
    pub server_error: u64,
    /// Not known, or in no class.
    pub none: u64,
}

/// Microseconds that 50, 90 and 99 % of the requests did not exceed, within an eighth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Quantiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
}

/// The figures of one bucket.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct BucketFigures {
    #[schema(value_type = String, format = DateTime)]
    pub start: Time,
    #[serde(flatten)]
    pub figures: Figures,
}

/// The most frequent values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Tops {
    /// True: they come from a part of the requests, so only their shares mean something.
    pub sampled: bool,
    /// How many requests they come from.
    pub requests: u64,
    pub paths: Vec<TopValue>,
    pub methods: Vec<TopValue>,
    pub remote_addrs: Vec<TopValue>,
}

/// Computes the figures. At `deadline` it leaves out what it has not counted.
pub(crate) fn stats(
    connection: &Connection,
    query: &StatsQuery,
    deadline: Instant,
) -> rusqlite::Result<Stats> {
    let mut ids = ids::of(&query.filter, connection)?;
    let all_ids = ids.clone();
    let mut count = Count::new(connection, query, deadline);
    if query.filter.is_time_only() && query.bucket != Bucket::TenSeconds {
        ids.start = ids.start.max(count.add_minutes()?);
    }
    let uncounted = count.add_rows(ids)?;
    if query.filter.is_time_only() {
        count.sample(all_ids)?;
    }
    let first = uncounted.map_or(0, |time| query.index_after(time));
    let step = query.bucket.seconds();
    let mut total = Tally::default();
    let buckets: Vec<_> = (count.tallies.iter().enumerate())
        .skip(first)
        .map(|(index, tally)| {
            total.merge(tally);
            BucketFigures {
                start: query.since.add(index as i64 * step),
                figures: tally.into(),
            }
        })
        .collect();
    Ok(Stats {
        bucket: query.bucket.name(),
        since: query.since.add(first as i64 * step),
        until: query.until,
        complete: uncounted.is_none() && !query.is_capped,
        total: (&total).into(),
        buckets,
        top: count.tops(uncounted.is_some())?,
    })
}

impl StatsQuery {
    /// The number of the bucket that has this time, if there is one.
    pub(super) fn index(&self, time: Time) -> Option<usize> {
        let is_within = (self.since..self.until).contains(&time);
        is_within.then(|| time.steps_since(self.since, self.bucket.seconds()) as usize)
    }

    /// The number of the first bucket that begins at this time or later; at most their number.
    fn index_after(&self, time: Time) -> usize {
        let step = self.bucket.seconds();
        let last = time.min(self.until).add(step).add_micros(-1);
        last.steps_since(self.since, step).max(0) as usize
    }
}

impl From<&Tally> for Figures {
    fn from(tally: &Tally) -> Self {
        let [
            none,
            informational,
            successful,
            redirected,
            client_error,
            server_error,
        ] = tally.statuses;
        let quantile = |share| tally.durations.quantile(share);
        Self {
            requests: tally.requests,
            bytes: tally.bytes,
            status: StatusCounts {
                informational,
                successful,
                redirected,
                client_error,
                server_error,
                none,
            },
            duration_us: quantile(0.5).map(|p50| Quantiles {
                p50,
                p90: quantile(0.9).unwrap_or(p50),
                p99: quantile(0.99).unwrap_or(p50),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
