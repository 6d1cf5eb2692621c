//! The pool of read-only connections. Each read is short: a long one would keep the WAL from its reset.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_sqlite::{
    Hook, HookError, InteractError, Object, Pool, PoolConfig, PoolError, Runtime,
};
use percent_encoding::{AsciiSet, CONTROLS};
use rusqlite::{Connection, OptionalExtension};
use tokio::time::timeout_at;

use super::bounded_read::{self, Done};
use super::open_error::OpenError;
use super::read_error::ReadError;
use super::record::{StoredRecord, select_sql};
use crate::config::Database;
use crate::metrics::Metrics;

/// A read pool.
pub(crate) struct Reader {
    pool: Pool,
    /// `database.read_timeout`.
    timeout: Duration,
    busy_timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Reader {
    /// Creates a pool of so many connections for an existing database, whose path is resolved. It opens them when they are
    /// needed.
    pub(super) fn new(
        database: &Database,
        connections_max: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let mut config = deadpool_sqlite::Config::new(read_only_uri(&database.path));
        config.pool = Some(PoolConfig::new(connections_max));
        let pool = config
            .builder(Runtime::Tokio1)
            .map_err(|error| OpenError::Pool(error.to_string()))?
            .post_create(Hook::async_fn(|connection, _| {
                Box::pin(async {
                    connection
                        .interact(|connection| bounded_read::prepare(connection))
                        .await
                        .map_err(|error| HookError::message(error.to_string()))?
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| OpenError::Pool(error.to_string()))?;
        Ok(Self {
            pool,
            timeout: database.read_timeout.get(),
            busy_timeout: database.busy_timeout.get(),
            metrics,
        })
    }

    /// `database.read_timeout`.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// One record.
    pub async fn record(
        &self,
        id: i64,
    ) -> Result<Option<StoredRecord>, ReadError<rusqlite::Error>> {
        self.read(move |connection| {
            connection
                .prepare_cached(&select_sql("id = ?"))?
                .query_row([id], StoredRecord::read)
                .optional()
        })
        .await
    }

    /// Runs `read` on a connection of the pool, on a thread that may block, for at most `database.read_timeout` with the
    /// wait for the connection.
    ///
    /// # Panics
    /// If `read` panics.
    pub async fn read<T, E>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ReadError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let begun = Instant::now();
        let result = self.read_uncounted(read).await;
        let metrics = &self.metrics;
        let elapsed = begun.elapsed();
        metrics.read_duration_seconds.observe(elapsed.as_secs_f64());
        if let Err(ReadError::TimedOut(_) | ReadError::NoConnection(_)) = result {
            metrics.reads_interrupted_total.inc();
        }
        result
    }

    /// [`Reader::read`] without metrics.
    pub(super) async fn read_uncounted<T, E>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ReadError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let deadline = Instant::now() + self.timeout;
        let (limit, busy_timeout) = (self.timeout, self.busy_timeout);
        let connection = match timeout_at(deadline.into(), self.pool.get()).await {
            Ok(connection) => connection.map_err(no_connection)?,
            Err(_) => return Err(ReadError::NoConnection(limit)),
        };
        // A task of its own: if the caller stops waiting, the pool gets the connection back only when the closure is done.
        let task = tokio::spawn(async move {
            let done = connection.interact(move |connection| {
                bounded_read::run(connection, deadline, limit, busy_timeout, read)
            });
            match done.await {
                Ok(Done {
                    result,
                    is_reusable,
                }) => {
                    if !is_reusable {
                        drop(Object::take(connection));
                    }
                    result
                }
                // The pool drops a connection on which a closure has panicked.
                Err(InteractError::Panic(panic)) => resume_unwind(panic),
                Err(InteractError::Cancelled) => Err(ReadError::Closed),
            }
        });
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime has ended.
                Err(_) => Err(ReadError::Closed),
            },
        }
    }

    /// Closes the idle connections. Every later read fails.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// The pool's own time limits are off, so what is left is SQLite's error, or the end.
fn no_connection<E>(error: PoolError) -> ReadError<E> {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            ReadError::Sqlite(error)
        }
        _ => ReadError::Closed,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_cannot_be_opened_is_an_error_of_sqlite_and_not_the_end() {
        let causes = [
            PoolError::Backend(rusqlite::Error::InvalidQuery),
            PoolError::PostCreateHook(HookError::Backend(rusqlite::Error::InvalidQuery)),
        ];
        for cause in causes {
            let error: ReadError<rusqlite::Error> = no_connection(cause);
            assert!(matches!(error, ReadError::Sqlite(_)), "{error}");
        }
        assert!(matches!(
            no_connection::<()>(PoolError::Closed),
            ReadError::Closed
        ));
    }
}
