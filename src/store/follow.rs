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
