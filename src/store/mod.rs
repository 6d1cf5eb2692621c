//! The database: one writer thread behind a cloneable handle, and a pool of readers.
//!
//! A request calls [`Store::append`] and waits; its record waits in the bounded `queue`; the `writer` commits it
//! with everything else that waits; the dispatcher, a task on the event loop, wakes the whole batch.

mod checkpoint;
mod dispatch;
mod fatal;
mod filesystem;
mod insert;
mod left_over;
mod lock;
mod log_file;
mod open;
mod open_error;
mod outcome;
mod path;
mod queue;
mod reader;
mod request;
mod same_file;
mod schema;
mod state;
mod writer;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::Method;
use tokio::sync::{Notify, mpsc, oneshot};

pub use fatal::{Change, Fatal};
pub use open::{Done, init, sqlite_version};
pub use open_error::OpenError;
pub use outcome::{AppendError, Rejected};
pub(crate) use outcome::{Outcome, WriteFn};
pub use reader::{ReadError, Reader, StoredRecord};
pub use request::{RequestStore, WriteError};
pub use state::{Activity, WriterState};

use crate::config::{Commit, Database, Synchronous};
use crate::metrics::Metrics;
use queue::Queue;

/// What is written down of one request: a row of `requests`, but for its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When the request's head had arrived; Unix seconds with fraction.
    pub timestamp: f64,
    /// The method.
    pub method: Method,
    /// The target's path as sent, without the query.
    pub path: String,
    /// Bytes of body that were read.
    pub content_length: u64,
    /// The client; none over a unix socket with no proxy to tell.
    pub remote_addr: Option<IpAddr>,
}

/// The handle that everybody has.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    /// Wakes the dispatcher once a turn of the event loop.
    appended: Notify,
    state: Arc<WriterState>,
    path: PathBuf,
}

/// Sizes of the database's files and of the room they have.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The database's file.
    pub database_bytes: u64,
    /// The write-ahead log.
    pub wal_bytes: u64,
    /// What an ordinary user may still write to the file system.
    pub disk_free_bytes: u64,
}

/// What [`Store::open`] starts besides the handle.
pub struct Opened {
    /// The handle.
    pub store: Store,
    /// Resolves when the writer has ended: with `Ok` after [`Store::stop`], else with why the process must end.
    pub writer_ended: oneshot::Receiver<Result<(), Fatal>>,
}

impl Store {
    /// Opens the database, creating or migrating it first, and starts the writer and the checkpointer. Must be
    /// called within the runtime that the requests are on.
    ///
    /// # Errors
    /// See [`OpenError`], which knows whether a restart could help.
    pub fn open(
        database: &Database,
        commit: &Commit,
        metrics: &Arc<Metrics>,
    ) -> Result<Opened, OpenError> {
        let open::Ready {
            connection,
            mut lock,
            database,
            ..
        } = open::open(database)?;
        // Every insert, and the statements around them, stays prepared.
        connection.set_prepared_statement_cache_capacity(32);
        let log = match database.synchronous {
            Synchronous::Full => Some(open::hand_over_sync(&connection, &database)?),
            Synchronous::Normal => None,
        };
        let queue = Arc::new(Queue::new(commit));
        let state = Arc::new(WriterState::new());
        let (answers, batches) = mpsc::unbounded_channel();
        let files = same_file::SameFiles::of(&database.path)
            .map_err(|(path, source)| OpenError::Path { path, source })?;
        let checkpointer = checkpoint::start(&database, files.clone(), metrics)?;
        checkpointer.watch(&connection);
        let inserter = insert::Inserter::new(&connection);
        let mut writer = writer::Writer {
            connection,
            files,
            log,
            queue: queue.clone(),
            state: state.clone(),
            answers,
            metrics: metrics.clone(),
            inserter,
            checkpointer,
        };
        let (ended, writer_ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let result = writer.run(&mut lock);
                match &result {
                    // An orderly end closes the database before anybody hears of it.
                    Ok(()) => drop(writer),
                    // Nothing may stand between this and the end of the process: closing could wait for a lock, or for
                    // a disk that is dying.
                    Err(_) => std::mem::forget(writer),
                }
                // The receiver is gone only when the process is about to be.
                let _ = ended.send(result);
            })
            .map_err(OpenError::Thread)?;
        let store = Self(Arc::new(Inner {
            queue,
            appended: Notify::new(),
            state,
            path: database.path,
        }));
        tokio::spawn(dispatch::dispatch(store.clone(), batches));
        Ok(Opened {
            store,
            writer_ended,
        })
    }

    /// Writes a record; returns its id once it is on disk.
    ///
    /// # Errors
    /// [`AppendError`]: it was not written, or nobody can know.
    pub async fn append(&self, record: Record) -> Result<i64, AppendError> {
        match self.submit(Some(record), None)?.await {
            Ok(Outcome::Committed(Some(id))) => Ok(id),
            Ok(Outcome::Rejected(reason)) => Err(reason.into()),
            Ok(Outcome::Committed(None) | Outcome::Undone) | Err(_) => Err(AppendError::Unknown),
        }
    }

    pub(crate) fn submit(
        &self,
        record: Option<Record>,
        work: Option<WriteFn>,
    ) -> Result<oneshot::Receiver<Outcome>, Rejected> {
        let outcome = self.0.queue.push(record, work)?;
        self.0.appended.notify_one();
        Ok(outcome)
    }

    /// What the writer is doing.
    pub fn writer(&self) -> &WriterState {
        &self.0.state
    }

    /// Records that wait.
    pub fn queue_records(&self) -> usize {
        self.0.queue.len()
    }

    /// The database's file itself, where `database.path` is a link.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether nothing waits, and nothing is inside a transaction.
    pub fn is_idle(&self) -> bool {
        self.queue_records() == 0 && self.writer().current().0 != Activity::Committing
    }

    /// What the database takes, and what is left. What cannot be looked at counts as 0.
    pub fn sizes(&self) -> Sizes {
        let bytes = |path: &Path| path.metadata().map_or(0, |file| file.len());
        Sizes {
            database_bytes: bytes(self.path()),
            wal_bytes: bytes(&log_file::path(self.path())),
            disk_free_bytes: rustix::fs::statvfs(self.path())
                .map_or(0, |found| found.f_bavail * found.f_frsize),
        }
    }

    /// Refuses all that waits and all that is yet to come: the end of the grace period. What is inside a
    /// transaction is not touched.
    pub fn refuse(&self) {
        dispatch::reject(self.0.queue.refuse(), Rejected::Draining);
    }

    /// Tells the writer to end when the queue is empty.
    pub fn stop(&self) {
        self.0.queue.stop();
    }
}
