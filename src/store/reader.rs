//! The pool of read-only connections. Each read is one short statement: a long one would keep the WAL from restarting.

use std::path::Path;

use deadpool_sqlite::{Hook, HookError, Pool, PoolConfig, Runtime, Timeouts};
use percent_encoding::{AsciiSet, CONTROLS};
use rusqlite::OptionalExtension;

use super::location;
use super::open_error::OpenError;
use super::record::{StoredRecord, select_sql};
use crate::config::Database;

/// Why a read failed; the text is for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// No connection became free, or none could be opened.
    #[error("no read connection: {0}")]
    Pool(#[from] deadpool_sqlite::PoolError),
    /// The read panicked.
    #[error("a read panicked: {0}")]
    Interact(#[from] deadpool_sqlite::InteractError),
    /// SQLite's own error.
    #[error("a read failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// The handle of the read pool.
#[derive(Clone)]
pub(crate) struct Reader(Pool);

impl Reader {
    /// Creates the pool for an existing database. It opens its connections when they are needed.
    pub fn open(database: &Database) -> Result<Self, OpenError> {
        let busy_timeout = database.busy_timeout.get();
        let path = location::resolve(database)?.path;
        let mut config = deadpool_sqlite::Config::new(read_only_uri(&path));
        config.pool = Some(PoolConfig {
            max_size: database.readers_max.get(),
            timeouts: Timeouts::wait_millis(5000),
            ..PoolConfig::default()
        });
        config
            .builder(Runtime::Tokio1)
            .map_err(|error| OpenError::Pool(error.to_string()))?
            .post_create(Hook::async_fn(move |connection, _| {
                Box::pin(async move {
                    connection
                        .interact(move |connection| connection.busy_timeout(busy_timeout))
                        .await
                        .map_err(|error| HookError::message(error.to_string()))?
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map(Self)
            .map_err(|error| OpenError::Pool(error.to_string()))
    }

    /// At most `limit` records with an id below `before`, newest first.
    pub async fn page(&self, before: i64, limit: u32) -> Result<Vec<StoredRecord>, ReadError> {
        self.read(move |connection| {
            connection
                .prepare_cached(&select_sql("id < ? order by id desc limit ?"))?
                .query_map((before, limit), StoredRecord::read)?
                .collect()
        })
        .await
    }

    /// One record.
    pub async fn record(&self, id: i64) -> Result<Option<StoredRecord>, ReadError> {
        self.read(move |connection| {
            connection
                .prepare_cached(&select_sql("id = ?"))?
                .query_row([id], StoredRecord::read)
                .optional()
        })
        .await
    }

    /// Closes the idle connections. Every later read fails.
    pub fn close(&self) {
        self.0.close();
    }

    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let connection = self.0.get().await?;
        Ok(connection
            .interact(move |connection| read(connection))
            .await??)
    }
}

/// The pool opens a plain path for writing; a URI can ask for read-only.
fn read_only_uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    // These would end the path, or begin an escape, where SQLite parses the URI (sqlite.org/uri.html).
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');
    let path = percent_encoding::percent_encode(path.as_os_str().as_bytes(), ESCAPED);
    format!("file://{path}?mode=ro")
}
