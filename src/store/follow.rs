//! Follows the table: new records since the last look, and the outcomes of earlier ones.

use std::ops::RangeInclusive;
use std::panic::resume_unwind;

use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::handle::Store;
use super::newest_id::NewestIdError;
use super::record::{StoredRecord, select_sql};

/// Where a look at the table begins and ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// The records with a higher id are new.
    pub after: i64,
    /// The newest record to look at.
    pub newest: i64,
    /// How many new records to read.
    pub records_max: u32,
    /// Earlier records that had no outcome.
    pub unfinished: Vec<i64>,
}

/// The result of a look at the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// New records, the oldest first.
    pub records: Vec<StoredRecord>,
    /// The ids of newer ones, which were not read.
    pub unread: Option<RangeInclusive<i64>>,
    /// Earlier records whose outcome came.
    pub finished: Vec<StoredRecord>,
}

impl Look {
    pub fn read(&self, connection: &Connection) -> rusqlite::Result<Found> {
        let mut found = Found::default();
        if self.newest > self.after {
            found.records = connection
                .prepare_cached(&select_sql("id > ? and id <= ? order by id limit ?"))?
                .query_map(
                    (self.after, self.newest, self.records_max),
                    StoredRecord::read,
                )?
                .collect::<Result<_, _>>()?;
            let is_full = found.records.len() >= self.records_max as usize;
            let last = found.records.last().map_or(self.after, |record| record.id);
            found.unread = (is_full && last < self.newest).then_some(last + 1..=self.newest);
        }
        if !self.unfinished.is_empty() {
            let mut finished =
                connection.prepare_cached(&select_sql("id = ? and status is not null"))?;
            for id in &self.unfinished {
                let rows = finished.query_map([id], StoredRecord::read)?;
                found.finished.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
        }
        Ok(found)
    }
}

impl Store {
    /// Looks at the table. At `full`, all that it found survives a power failure: a read sees a commit of another replica
    /// before that replica has synced it.
    pub async fn look(&self, look: Look) -> Result<Found, NewestIdError> {
        let found = self
            .admin_reader()
            .read_uncounted(move |connection| look.read(connection));
        let found = found.await.map_err(NewestIdError::Read)?;
        if !found.records.is_empty() || !found.finished.is_empty() {
            let store = self.clone();
            spawn_blocking(move || store.sync())
                .await
                .unwrap_or_else(|error| resume_unwind(error.into_panic()))?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids that a look of at most three records finds among 1 to 5, and those that it leaves.
    fn look(after: i64, newest: i64) -> (Vec<i64>, Option<RangeInclusive<i64>>) {
        let connection = Connection::open_in_memory().expect("a database in memory");
        for sql in [
            include_str!("schema.sql"),
            include_str!("schema_2.sql"),
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5)
             insert into requests (id, timestamp, method, path, content_length) select i, 1, 'GET', '/', 0 from n",
        ] {
            connection.execute_batch(sql).expect("a table with rows");
        }
        let look = Look {
            after,
            newest,
            records_max: 3,
            unfinished: Vec::new(),
        };
        let found = look.read(&connection).expect("a look");
        let ids = found.records.iter().map(|record| record.id).collect();
        (ids, found.unread)
    }

    #[test]
    fn a_look_that_is_full_leaves_the_newest_ids() {
        assert_eq!(look(0, 5), (vec![1, 2, 3], Some(4..=5)));
        assert_eq!(look(0, 3), (vec![1, 2, 3], None));
        // Ids without a record are not left.
        assert_eq!(look(3, 9), (vec![4, 5], None));
        assert_eq!(look(5, 5), (vec![], None));
    }
}
