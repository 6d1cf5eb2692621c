//! One page of records, in either direction, bounded in time.

use std::time::Instant;

use rusqlite::{Connection, ErrorCode, params_from_iter};

use super::filter::Filter;
use super::ids;
use crate::store::{StoredRecord, select_sql};

/// Ids that the first statement looks at.
const FIRST_STEP: i64 = 4096;
/// Ids that a later statement looks at, at most: 25 ms at 10 M rows a second.
const STEP_MAX: i64 = 262_144;

/// Where a page begins, and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// Records with an id below this one, newest first.
    Before(i64),
    /// Records with an id above this one, oldest first.
    After(i64),
}

/// Records, and where to go on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    pub records: Vec<StoredRecord>,
    /// The id for the next page's cursor. None: no further record can match now.
    pub next: Option<i64>,
    /// False if time was up before the page was full.
    pub is_complete: bool,
}

/// At most `limit` records that the filter wants. At `deadline` it returns what it has. It looks at some thousand records in
/// any case, so that a reader gets on.
pub(crate) fn page(
    connection: &Connection,
    filter: &Filter,
    cursor: Cursor,
    limit: usize,
    deadline: Instant,
) -> rusqlite::Result<Page> {
    let ids = ids::of(filter, connection)?;
    let mut scan = Scan {
        connection,
        filter,
        limit,
        records: Vec::new(),
    };
    let mut step = FIRST_STEP;
    let mut position = match cursor {
        Cursor::Before(id) => id.min(ids.end),
        Cursor::After(id) => id.max(ids.start.saturating_sub(1)),
    };
    loop {
        let next = scan.next_id(cursor, position)?;
        let Some(next) = next.filter(|id| ids.contains(id)) else {
            return Ok(scan.page(None, true));
        };
        // Inclusive: the ids end at the largest number.
        let (from, to) = match cursor {
            Cursor::Before(_) => (next.saturating_sub(step - 1).max(ids.start), next),
            Cursor::After(_) => (next, next.saturating_add(step - 1).min(ids.end - 1)),
        };
        if let Err(error) = scan.read(cursor, from, to) {
            // The read pool has stopped it. The records that it has found are in order, so they are right.
            if error.sqlite_error_code() != Some(ErrorCode::OperationInterrupted) {
                return Err(error);
            }
            let found = scan.records.last().map_or(position, |record| record.id);
            let reached = match cursor {
                Cursor::Before(_) => found.min(position),
                Cursor::After(_) => found.max(position),
            };
            return Ok(scan.page(Some(reached), false));
        }
        if scan.records.len() > limit {
            // One record more has shown that there is a next page.
            scan.records.truncate(limit);
            let last = scan.records.last().map(|record| record.id);
            return Ok(scan.page(last, true));
        }
        position = match cursor {
            Cursor::Before(_) => from,
            Cursor::After(_) => to,
        };
        if Instant::now() >= deadline {
            return Ok(scan.page(Some(position), false));
        }
        step = (step * 4).min(STEP_MAX);
    }
}

struct Scan<'a> {
    connection: &'a Connection,
    filter: &'a Filter,
    limit: usize,
    records: Vec<StoredRecord>,
}

impl Scan<'_> {
    /// The nearest id after the position: there may be gaps of any size.
    fn next_id(&self, cursor: Cursor, position: i64) -> rusqlite::Result<Option<i64>> {
        let sql = match cursor {
            Cursor::Before(_) => "select max(id) from requests where id < ?",
            Cursor::After(_) => "select min(id) from requests where id > ?",
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row([position], |row| row.get(0))
    }

    /// Adds the records of these ids, up to one more than the limit.
    fn read(&mut self, cursor: Cursor, from: i64, to: i64) -> rusqlite::Result<()> {
        let (condition, mut values) = self.filter.condition();
        let order = match cursor {
            Cursor::Before(_) => "desc",
            Cursor::After(_) => "asc",
        };
        let sql = select_sql(&format!(
            "{condition} and id >= ? and id <= ? order by id {order}"
        ));
        values.extend([from.into(), to.into()]);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while self.records.len() <= self.limit
            && let Some(row) = rows.next()?
        {
            let record = StoredRecord::read(row)?;
            if self.filter.matches(&record) {
                self.records.push(record);
            }
        }
        Ok(())
    }

    fn page(self, next: Option<i64>, is_complete: bool) -> Page {
        Page {
            records: self.records,
            next,
            is_complete,
        }
    }
}

#[cfg(test)]
mod tests;
