//! Finds the records that may be deleted: the longest prefix of ids in which no row is younger than the cut-off.
//!
//! Foreign writers and wrong clocks leave odd timestamps: no number, or in the future. Such a row counts as the next row
//! with a valid one. So one odd row neither stops retention for years, nor goes before its neighbours.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::jobs::UnixSeconds;

/// Rows that one look reads: a few dozen pages. Reading them also brings them into memory, before a step needs them under the
/// write lock.
pub(super) const LOOK_ROWS: usize = 2000;

/// The time from which on rows are too young.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutOff {
    /// A younger row stays, and so do all rows after it.
    pub at: UnixSeconds,
    /// A later timestamp is odd.
    pub now: UnixSeconds,
}

/// The result of a look at the next rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// All rows up to this id may be deleted; none: not one of these, as far as is known.
    pub until: Option<i64>,
    /// Rows up to that id.
    pub rows: usize,
    /// Where to look next; none at a row that is too young, and at the end of the table.
    pub next: Option<i64>,
}

impl CutOff {
    /// Looks at the rows from the id `from` on.
    pub fn look(self, db: &Connection, from: i64) -> rusqlite::Result<Look> {
        let mut look = Look {
            until: None,
            rows: 0,
            next: None,
        };
        let mut statement = db.prepare_cached(
            "select id, timestamp from requests where id >= ? order by id limit ?",
        )?;
        let mut rows = statement.query((from, LOOK_ROWS as i64))?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            seen += 1;
            match timestamp(row.get_ref(1)?, self.now) {
                Some(timestamp) if timestamp > self.at => return Ok(look),
                Some(_) => {
                    look.until = Some(id);
                    look.rows = seen;
                }
                None => (),
            }
            if seen == LOOK_ROWS {
                look.next = id.checked_add(1);
            }
        }
        Ok(look)
    }
}

/// A valid timestamp.
fn timestamp(value: ValueRef<'_>, now: UnixSeconds) -> Option<UnixSeconds> {
    match value {
        ValueRef::Real(seconds) if seconds.is_finite() && seconds <= now => Some(seconds),
        _ => None,
    }
}

/// The timestamp of the oldest record; none if none of the first rows has a valid one.
pub(crate) fn oldest_timestamp(
    db: &Connection,
    now: UnixSeconds,
) -> rusqlite::Result<Option<UnixSeconds>> {
    let mut statement = db.prepare_cached("select timestamp from requests order by id limit ?")?;
    let mut rows = statement.query([LOOK_ROWS as i64])?;
    while let Some(row) = rows.next()? {
        if let Some(found) = timestamp(row.get_ref(0)?, now) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT_OFF: CutOff = CutOff {
        at: 100.0,
        now: 200.0,
    };

    /// A table with these timestamps, as SQL, from id 1 on.
    fn table(timestamps: &[&str]) -> Connection {
        let db = Connection::open_in_memory().expect("a database in memory");
        db.execute_batch("create table requests (id integer primary key, timestamp real)")
            .expect("a table");
        for timestamp in timestamps {
            db.execute_batch(&format!(
                "insert into requests (timestamp) values ({timestamp})"
            ))
            .expect("a row");
        }
        db
    }

    fn until(timestamps: &[&str]) -> Option<i64> {
        let look = CUT_OFF.look(&table(timestamps), i64::MIN).expect("a look");
        assert_eq!(look.next, None);
        assert_eq!(look.until.unwrap_or(0), look.rows as i64);
        look.until
    }

    #[test]
    fn rows_go_until_the_first_that_is_younger() {
        assert_eq!(until(&[]), None);
        assert_eq!(until(&["99", "100", "1.5"]), Some(3));
        assert_eq!(until(&["99", "100.5", "98"]), Some(1));
        assert_eq!(until(&["101", "98"]), None);
        assert_eq!(until(&["-5", "0"]), Some(2));
    }

    #[test]
    fn an_odd_timestamp_counts_as_the_next_valid_one() {
        for odd in ["'yesterday'", "x'00'", "null", "200.5", "9e999", "-9e999"] {
            assert_eq!(until(&[odd, "99"]), Some(2), "{odd}");
            assert_eq!(until(&[odd, odd, "99", odd]), Some(3), "{odd}");
            assert_eq!(until(&["99", odd, "101"]), Some(1), "{odd}");
            assert_eq!(until(&[odd]), None, "{odd}");
        }
    }

    #[test]
    fn a_look_ends_and_says_where_the_next_one_begins() {
        let db = table(&[]);
        db.execute_batch(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2500)
             insert into requests select i * 2, iif(i < 2400, 'odd', 99) from n",
        )
        .expect("rows");
        let look = |from| CUT_OFF.look(&db, from).expect("a look");
        let nothing_yet = Look {
            until: None,
            rows: 0,
            next: Some(4001),
        };
        assert_eq!(look(i64::MIN), nothing_yet);
        let rest = Look {
            until: Some(5000),
            rows: 500,
            next: None,
        };
        assert_eq!(look(4001), rest);
    }

    #[test]
    fn the_oldest_record_is_the_first_with_a_valid_timestamp() {
        let oldest = |timestamps| oldest_timestamp(&table(timestamps), 200.0).expect("a read");
        assert_eq!(oldest(&[]), None);
        assert_eq!(oldest(&["'odd'", "999", "150", "3"]), Some(150.0));
        assert_eq!(oldest(&["'odd'"]), None);
    }
}
