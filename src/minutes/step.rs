//! One step: reads a few thousand rows, and writes their sums.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::jobs::UnixSeconds;
use crate::query::{ROW_COLUMNS, Tally, TallyRow, Time};

/// Rows of one step: 10 ms to read.
const ROWS_MAX: usize = 20_000;
/// Minutes of one step, which are two short statements each in the write: under a millisecond together.
const MINUTES_MAX: usize = 64;
/// A row that was committed longer ago gets no status any more: a handler that runs on for so long after its `write` is rare.
pub(super) const SETTLE_SECONDS: UnixSeconds = 10.0;

/// The row of `daybook_minutes_progress`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Progress {
    /// The first id that is not added yet.
    next_id: i64,
    /// The newest id at the time `seen_at`.
    seen_id: i64,
    seen_at: UnixSeconds,
}

/// Sums to write.
#[derive(Debug)]
pub(super) struct Step {
    /// By the minutes since 1970.
    minutes: BTreeMap<i64, Tally>,
    from: Progress,
    to: Progress,
    /// Whether there are further rows to add now.
    pub has_more: bool,
}

/// Reads the next rows and adds them up.
pub(super) fn read(connection: &Connection, now: UnixSeconds) -> rusqlite::Result<Step> {
    let from = Progress::read(connection)?;
    let newest: i64 = connection
        .prepare_cached("select coalesce(max(id), 0) from requests")?
        .query_row([], |row| row.get(0))?;
    // A clock that was set back must not stop the job.
    let is_settled = !(from.seen_at..from.seen_at + SETTLE_SECONDS).contains(&now);
    let mut step = Step {
        minutes: BTreeMap::new(),
        from,
        to: from,
        has_more: false,
    };
    let sql = format!(
        "select {ROW_COLUMNS} from requests not indexed where id >= ? order by id limit {ROWS_MAX}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([from.next_id])?;
    let (mut count, mut waits_for) = (0, None);
    while let Some(row) = rows.next()? {
        let row = TallyRow::read(row)?;
        let is_final = row.status.is_some() || (is_settled && row.id <= from.seen_id);
        if !is_final {
            waits_for = Some(row.id);
            break;
        }
        if let Some(time) = row.time {
            let minute = time.steps_since(Time::EPOCH, 60);
            step.minutes.entry(minute).or_default().add(&row);
        }
        step.to.next_id = row.id + 1;
        count += 1;
        if count == ROWS_MAX || step.minutes.len() == MINUTES_MAX {
            step.has_more = true;
            break;
        }
    }
    // The rows up to the newest of now are waited for next.
    let is_past = !step.has_more && waits_for.is_none_or(|id| id > from.seen_id);
    if is_past && newest > from.seen_id {
        step.to.seen_id = newest;
        step.to.seen_at = now;
    }
    Ok(step)
}

impl Step {
    /// Whether there is anything to write.
    pub fn is_news(&self) -> bool {
        self.to != self.from
    }

    /// Adds the sums to the table, within the caller's transaction.
    pub fn write(self, transaction: &Connection) -> rusqlite::Result<()> {
        // The job's lock sees to it that only one run writes. If that fails, nothing may be counted twice.
        if Progress::read(transaction)? != self.from {
            return Ok(());
        }
        for (minute, tally) in &self.minutes {
            tally.add_to_minute(*minute, transaction)?;
        }
        let Progress {
            next_id,
            seen_id,
            seen_at,
        } = self.to;
        transaction
            .prepare_cached(
                "update daybook_minutes_progress set next_id = ?, seen_id = ?, seen_at = ?",
            )?
            .execute((next_id, seen_id, seen_at))
            .map(drop)
    }
}

impl Progress {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        connection
            .prepare_cached("select next_id, seen_id, seen_at from daybook_minutes_progress")?
            .query_row([], |row| {
                Ok(Self {
                    next_id: row.get(0)?,
                    seen_id: row.get(1)?,
                    seen_at: row.get(2)?,
                })
            })
    }
}

#[cfg(test)]
mod tests;
