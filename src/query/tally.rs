//! Requests added up: their number, bytes, statuses and durations; and the table `daybook_minutes`, which holds that for each
//! minute.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::histogram::Histogram;
use super::time::Time;
use crate::store::StoredRecord;

/// Some requests, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub requests: u64,
    /// Of their bodies.
    pub bytes: u64,
    /// Those without a status first, or with one outside of the classes; then by class.
    pub statuses: [u64; 6],
    /// Of those that have one.
    pub durations: Histogram,
}

/// The values that a tally takes from a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TallyRow {
    pub id: i64,
    /// None: the value is no time, and the row counts nowhere.
    pub time: Option<Time>,
    pub bytes: u64,
    pub status: Option<i64>,
    pub duration_us: Option<u64>,
}

/// The columns of [`TallyRow::read`].
pub(crate) const ROW_COLUMNS: &str = "id, timestamp, content_length, status, duration_us";

/// The columns of [`Tally::read_minute`].
const MINUTE_COLUMNS: &str = "requests, bytes, no_status, status_1xx, status_2xx, status_3xx, status_4xx, status_5xx, durations";

impl TallyRow {
    /// Reads the columns [`ROW_COLUMNS`].
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let integer = |column| match row.get_ref(column) {
            Ok(ValueRef::Integer(number)) => Some(number),
            _ => None,
        };
        Ok(Self {
            id: row.get(0)?,
            time: match row.get_ref(1)? {
                ValueRef::Real(seconds) => Time::from_seconds(seconds),
                _ => None,
            },
            bytes: integer(2).map_or(0, |bytes| bytes.max(0) as u64),
            status: integer(3),
            duration_us: integer(4).and_then(|micros| micros.try_into().ok()),
        })
    }

    /// The same values, from a record.
    pub fn of(record: &StoredRecord) -> Self {
        Self {
            id: record.id,
            time: record.timestamp.and_then(Time::from_seconds),
            bytes: record.content_length.max(0) as u64,
            status: record.status,
            duration_us: record.duration_us.and_then(|micros| micros.try_into().ok()),
        }
    }
}

impl Tally {
    pub fn add(&mut self, row: &TallyRow) {
        self.requests += 1;
        self.bytes = self.bytes.saturating_add(row.bytes);
        let class = match row.status {
            Some(status @ 100..600) => status / 100,
            _ => 0,
        };
        self.statuses[class as usize] += 1;
        if let Some(micros) = row.duration_us {
            self.durations.add(micros);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.bytes = self.bytes.saturating_add(other.bytes);
        for (count, more) in self.statuses.iter_mut().zip(other.statuses) {
            *count += more;
        }
        self.durations.merge(&other.durations);
    }

    /// Adds it to a minute of the table, within the caller's transaction. The minute is counted from 1970.
    pub fn add_to_minute(&self, minute: i64, transaction: &Connection) -> rusqlite::Result<()> {
        let sql = format!("select {MINUTE_COLUMNS} from daybook_minutes where minute = ?");
        let old = transaction
            .prepare_cached(&sql)?
            .query_row([minute], Self::read_minute)
            .optional()?;
        let mut sum = old.unwrap_or_default();
        sum.merge(self);
        let [none, s1, s2, s3, s4, s5] = sum.statuses.map(|count| count as i64);
        let sql = format!(
            "insert or replace into daybook_minutes (minute, {MINUTE_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let (requests, bytes) = (sum.requests as i64, sum.bytes.min(i64::MAX as u64) as i64);
        let durations = sum.durations.to_bytes();
        transaction
            .prepare_cached(&sql)?
            .execute((minute, requests, bytes, none, s1, s2, s3, s4, s5, durations))
            .map(drop)
    }

    /// Calls `each` with all minutes of the table from `first` to before `end`, in order.
    pub fn read_minutes(
        connection: &Connection,
        first: i64,
        end: i64,
        mut each: impl FnMut(i64, &Self),
    ) -> rusqlite::Result<()> {
        let sql = format!(
            "select {MINUTE_COLUMNS}, minute from daybook_minutes where minute >= ? and minute < ? order by minute"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query((first, end))?;
        while let Some(row) = rows.next()? {
            each(row.get(9)?, &Self::read_minute(row)?);
        }
        Ok(())
    }

    fn read_minute(row: &Row<'_>) -> rusqlite::Result<Self> {
        let count = |column: usize| row.get(column).map(|count: i64| count.max(0) as u64);
        let mut statuses = [0; 6];
        for (column, status) in (2..).zip(statuses.iter_mut()) {
            *status = count(column)?;
        }
        Ok(Self {
            requests: count(0)?,
            bytes: count(1)?,
            statuses,
            durations: Histogram::from_bytes(row.get_ref(8)?.as_blob().unwrap_or_default()),
        })
    }
}
