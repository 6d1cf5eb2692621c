//! The id of the newest record, of any replica, that is as durable as a response promises.

use std::io;
use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

use super::handle::Store;
use super::read_error::ReadError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum NewestIdError {
    #[error(transparent)]
    Read(ReadError<rusqlite::Error>),
    #[error("the write-ahead log could not be synced: {0}")]
    Sync(#[from] io::Error),
}

impl Store {
    /// The newest record's id, or 0. If it is above `shown`, and at `full`, it syncs the WAL first: a read sees a commit
    /// of another replica before that replica has synced it.
    pub async fn newest_id(&self, shown: i64) -> Result<i64, NewestIdError> {
        let newest = self.reader().read_uncounted(|connection| {
            let sql = "select coalesce(max(id), 0) from requests";
            connection
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0))
        });
        let id = newest.await.map_err(NewestIdError::Read)?;
        if id > shown {
            let store = self.clone();
            // The read has ended: a sync can take long.
            spawn_blocking(move || store.sync())
                .await
                .unwrap_or_else(|error| resume_unwind(error.into_panic()))?;
        }
        Ok(id)
    }
}
