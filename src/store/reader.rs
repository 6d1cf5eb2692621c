//! Reading: a pool of read-only connections. Every read is one short statement, for a reader that stays keeps
//! the log from being begun anew.

use std::path::Path;

use deadpool_sqlite::{Hook, HookError, Pool, PoolConfig, Runtime, Timeouts};
use percent_encoding::{AsciiSet, CONTROLS};
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row};

use super::{OpenError, path};
use crate::config::Database;

/// A row of `requests`. Others write them too, and SQLite lets any column hold any type: one odd row must not hide
/// the page that it is on.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// The record's id.
    pub id: i64,
    /// Unix seconds with fraction; none where it is no number.
    pub timestamp: Option<f64>,
    /// The method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// Bytes of body that were read; 0 where it is no number.
    pub content_length: i64,
    /// The client's address.
    pub remote_addr: Option<String>,
}

/// Why a read failed; the text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No connection became free, or none could be opened.
    #[error("no read connection: {0}")]
    Pool(#[from] deadpool_sqlite::PoolError),
    /// The read panicked.
    #[error("a read did not end: {0}")]
    Interact(#[from] deadpool_sqlite::InteractError),
    /// SQLite's own error.
    #[error("a read failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// The handle of the read pool.
#[derive(Clone)]
pub struct Reader(Pool);

impl Reader {
    /// Makes the pool for a database that is there; it opens a connection when one is first asked for.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(database: &Database) -> Result<Self, OpenError> {
        let busy_timeout = database.busy_timeout.get();
        let path = path::resolve(database)?.path;
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

    /// At most `limit` records older than the id `before`, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn page(&self, before: i64, limit: u32) -> Result<Vec<StoredRecord>, ReadError> {
        self.read(move |connection| {
            connection
                .prepare_cached("select id, timestamp, method, path, content_length, remote_addr from requests where id < ? order by id desc limit ?")?
                .query_map((before, limit), stored_record)?
                .collect()
        })
        .await
    }

    /// One record.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn record(&self, id: i64) -> Result<Option<StoredRecord>, ReadError> {
        self.read(move |connection| {
            connection
                .prepare_cached("select id, timestamp, method, path, content_length, remote_addr from requests where id = ?")?
                .query_row([id], stored_record)
                .optional()
        })
        .await
    }

    /// Closes every connection that nobody uses; what is asked for afterwards fails.
    pub fn close(&self) {
        self.0.close();
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let connection = self.0.get().await?;
        Ok(connection
            .interact(move |connection| read(connection))
            .await??)
    }
}

fn stored_record(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    Ok(StoredRecord {
        id: row.get(0)?,
        timestamp: match row.get_ref(1)? {
            ValueRef::Real(seconds) => Some(seconds),
            ValueRef::Integer(seconds) => Some(seconds as f64),
            _ => None,
        },
        method: text(row.get_ref(2)?).unwrap_or_default(),
        path: text(row.get_ref(3)?).unwrap_or_default(),
        content_length: row.get_ref(4)?.as_i64().unwrap_or_default(),
        remote_addr: text(row.get_ref(5)?),
    })
}

/// What can be shown of a value as text; none of null.
fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// The pool opens what it is given for writing, unless the name is a URI that says otherwise.
fn read_only_uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    // What would end the path, or begin an escape, in SQLite's reading of a URI (sqlite.org/uri.html).
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');
    let path = percent_encoding::percent_encode(path.as_os_str().as_bytes(), ESCAPED);
    format!("file://{path}?mode=ro")
}
