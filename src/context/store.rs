//! [`AppStore`]: the database outside of a request.

use std::sync::{Arc, OnceLock};

use rusqlite::{Connection, Savepoint};

use crate::store::{ReadError, Store, WriteError};

/// The database outside of a request: for jobs, streams and background tasks. It is cheap to clone.
///
/// In a handler use [`RequestStore`](crate::RequestStore) for writes: it commits them together with the request's record.
///
/// ```
/// # use daybook::{BoxError, Context};
/// async fn forget_old_notes(context: Context) -> Result<(), BoxError> {
///     let store = context.store();
///     store
///         .write(|tx| tx.execute("delete from notes where age > 30", []))
///         .await?;
///     Ok(())
/// }
/// ```
///
/// Routes may keep a clone in their state. But it works only once the database is open, so not while the routes are made.
#[derive(Clone, Default)]
pub struct AppStore(Arc<OnceLock<Store>>);

impl AppStore {
    /// Called once, when the database is open.
    pub(crate) fn open(&self, store: Store) {
        let is_first = self.0.set(store).is_ok();
        assert!(is_first, "a process opens its database once");
    }

    /// Runs `write` on the writer's thread, in a transaction, and returns once it is committed. It waits in the same queue
    /// as the records of requests, for at most `commit.deadline`.
    ///
    /// While `write` runs, no replica can write anything else, so keep it to a few statements. It must never end the
    /// transaction: no request of the batch could get a response.
    ///
    /// # Errors
    /// [`WriteError::Undone`] with the closure's own error, after its changes were rolled back; [`WriteError::Rejected`] if
    /// nothing could be written; [`WriteError::NotOpen`] while the routes are made; [`WriteError::Unknown`] if the outcome is
    /// not known.
    ///
    /// # Panics
    /// If `write` panics: the panic continues here.
    pub async fn write<T, E>(
        &self,
        write: impl FnOnce(&Savepoint<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.0.get().ok_or(WriteError::NotOpen)?.write(write).await
    }

    /// Reads as [`RequestStore::read`](crate::RequestStore::read) does.
    ///
    /// # Errors
    /// As there, and [`ReadError::NotOpen`] while the routes are made.
    ///
    /// # Panics
    /// If `read` panics: the panic continues here.
    pub async fn read<T, E>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ReadError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let store = self.0.get().ok_or(ReadError::NotOpen)?;
        store.reader().read(read).await
    }
}
