//! The ids that can have a time: a binary search, for there is no index on `timestamp`.
//!
//! Ids are in the order of commits, and a timestamp is the arrival of the request, up to [`LATE_SECONDS`] before. So the
//! search is widened by that time, and its result holds whatever order the timestamps have within it.

use std::ops::Range;

use rusqlite::Connection;

use super::filter::Filter;
use super::time::Time;

/// Longest time between a request's arrival and its commit for which a search by time is exact.
pub(super) const LATE_SECONDS: f64 = 300.0;

/// How many rows a step looks at. Their median counts: one row with a wrong clock does not mislead the search.
const SAMPLE_ROWS: usize = 5;

/// The ids that records of the filter's times can have.
pub(super) fn of(filter: &Filter, connection: &Connection) -> rusqlite::Result<Range<i64>> {
    // Two subqueries: one `select` with both `min` and `max` reads the whole table.
    let sql = "select (select min(id) from requests), (select max(id) from requests)";
    let ends: (Option<i64>, Option<i64>) = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = ends else {
        return Ok(0..0);
    };
    let mut ids = first..last.saturating_add(1);
    if let Some(until) = filter.until {
        ids.end = search(connection, ids.clone(), after(until, LATE_SECONDS))?.end;
    }
    if let Some(since) = filter.since {
        ids.start = search(connection, ids.clone(), after(since, -LATE_SECONDS))?.start;
    }
    Ok(ids)
}

fn after(time: Time, seconds: f64) -> f64 {
    time.seconds() + seconds
}

/// The ids where the timestamps reach `time`. Below `start`, a record is earlier, or was committed before one that is. From
/// `end` on, a record is not earlier, or was committed after one that is not.
fn search(connection: &Connection, ids: Range<i64>, time: f64) -> rusqlite::Result<Range<i64>> {
    let sql = format!(
        "select id, timestamp from requests where id >= ? and id < ? and typeof(timestamp) = 'real' order by id limit {SAMPLE_ROWS}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    // The boundary is above `low`, and at `high` or below.
    let (mut low, mut high) = (ids.start.saturating_sub(1), ids.end);
    let mut end = ids.end;
    while low < high.saturating_sub(1) {
        let middle = i64::midpoint(low, high);
        let mut sample: Vec<(i64, f64)> = statement
            .query_map((middle, high), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let Some(&(last, _)) = sample.last() else {
            high = middle;
            continue;
        };
        sample.sort_by(|a, b| a.1.total_cmp(&b.1));
        if sample[sample.len() / 2].1 < time {
            low = middle;
        } else {
            high = middle;
            // The record of the sample that has the time is not known.
            end = last + 1;
        }
    }
    Ok(low.saturating_add(1)..end)
}
