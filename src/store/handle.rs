//! [`Store`]: the handle that the rest of the program has, and the start of the threads behind it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::app_schema::AppSchema;
use super::checkpoint;
use super::dispatch::Dispatcher;
use super::fatal_error::FatalError;
use super::file_identity::DatabaseFiles;
use super::open::{self, OpenedDatabase};
use super::open_error::OpenError;
use super::outcome::{AppendError, Outcome, WriteFn};
use super::paths;
use super::queue::Queue;
use super::reader::Reader;
use super::record::{LateOutcome, Record, RequestOutcome};
use super::transaction::WriterConnection;
use super::wal_file::WalFile;
use super::writer::Writer;
use super::writer_status::{WriterState, WriterStatus};
use crate::config::{Commit, Database, Synchronous};
use crate::metrics::Metrics;
use crate::rejected::Rejected;

/// Connections of the read pool for the operator.
pub(crate) const ADMIN_READERS: usize = 2;

/// The handle of the store.
#[derive(Clone)]
pub(crate) struct Store(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    status: Arc<WriterStatus>,
    reader: Reader,
    admin_reader: Reader,
    /// None at `normal`. Not the writer's own descriptor: the kernel reports a failed sync once to each.
    wal: Option<WalFile>,
    path: PathBuf,
}

/// The sizes of the database's files, and the free space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub database_bytes: u64,
    pub wal_bytes: u64,
    /// Free space of the file system for an unprivileged user.
    pub disk_free_bytes: u64,
}

/// The result of [`Store::open`].
pub(crate) struct Opened {
    pub store: Store,
    /// Resolves when the writer has ended: with `Ok` after [`Store::stop`], else with why the process must end.
    pub writer_ended: oneshot::Receiver<Result<(), FatalError>>,
}

impl Store {
    /// Opens the database, after creating or migrating it, and starts the writer, the checkpointer, the dispatcher and the
    /// read pool.
    /// Must be called within the runtime that serves the requests.
    pub fn open(
        database: &Database,
        commit: &Commit,
        app: &AppSchema,
        metrics: &Arc<Metrics>,
    ) -> Result<Opened, OpenError> {
        let OpenedDatabase {
            connection,
            mut lock,
            database,
            steps,
            ..
        } = open::open(database, app, Some(commit.deadline.get()))?;
        for step in steps {
            tracing::info!(
                migration = step.name,
                seconds = step.duration.as_secs_f64(),
                "migrated"
            );
        }
        let wal = match database.synchronous {
            Synchronous::Full => Some(open::take_over_sync(&connection, &database)?),
            Synchronous::Normal => None,
        };
        let second_wal = match database.synchronous {
            Synchronous::Full => Some(open::open_wal(&database)?),
            Synchronous::Normal => None,
        };
        let queue = Arc::new(Queue::new(commit));
        let status = Arc::new(WriterStatus::new());
        let (outcomes, batches) = mpsc::unbounded_channel();
        let files = DatabaseFiles::of(&database.path)
            .map_err(|(path, source)| OpenError::Path { path, source })?;
        let checkpointer = checkpoint::start(&database, files.clone(), metrics)?;
        let mut writer = Writer {
            connection: WriterConnection::new(connection, checkpointer),
            files,
            wal,
            queue: queue.clone(),
            status: status.clone(),
            outcomes,
            metrics: metrics.clone(),
        };
        let reader = Reader::new(&database, database.readers_max.get(), metrics.clone())?;
        let admin_reader = Reader::new(&database, ADMIN_READERS, metrics.clone())?;
        let (ended, writer_ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let result = writer.run(&mut lock);
                match &result {
                    // Close the database before the process is told.
                    Ok(()) => drop(writer),
                    // Nothing may delay the end of the process: closing can wait for a lock, or for a failing disk.
                    Err(_) => std::mem::forget(writer),
                }
                // Fails only if the process is already ending.
                let _ = ended.send(result);
            })
            .map_err(OpenError::Thread)?;
        let dispatcher = Dispatcher {
            queue: queue.clone(),
            status: status.clone(),
            database: database.path.clone(),
        };
        tokio::spawn(dispatcher.run(batches));
        let store = Self(Arc::new(Inner {
            queue,
            status,
            reader,
            admin_reader,
            wal: second_wal,
            path: database.path,
        }));
        Ok(Opened {
            store,
            writer_ended,
        })
    }

    /// Writes a record; returns its id once it is committed and, at `full`, synced.
    pub async fn append(&self, record: Record) -> Result<i64, AppendError> {
        match self.submit(Some(record), None)?.await {
            Ok(Outcome::Committed(Some(id))) => Ok(id),
            Ok(Outcome::Rejected(reason)) => Err(reason.into()),
            Ok(Outcome::Committed(None) | Outcome::Undone) | Err(_) => Err(AppendError::Unknown),
        }
    }

    pub fn submit(
        &self,
        record: Option<Record>,
        write_fn: Option<WriteFn>,
    ) -> Result<oneshot::Receiver<Outcome>, Rejected> {
        self.0.queue.push(record, write_fn)
    }

    /// Adds the outcome of a request whose record a handler's write has committed.
    pub fn add_outcome(&self, id: i64, outcome: RequestOutcome) {
        self.0.queue.push_late_outcome(LateOutcome { id, outcome });
    }

    /// The application's read pool.
    pub fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// The read pool of the admin listener and of daybook's own jobs, so that neither waits for the application, nor it for
    /// them.
    pub fn admin_reader(&self) -> &Reader {
        &self.0.admin_reader
    }

    /// Closes the idle connections of both pools. Every later read fails.
    pub fn close_readers(&self) {
        self.0.reader.close();
        self.0.admin_reader.close();
    }

    /// At `full`, makes what this process can read survive a power failure. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.wal.as_ref().map_or(Ok(()), WalFile::sync)
    }

    /// The writer's state.
    pub fn writer(&self) -> &WriterStatus {
        &self.0.status
    }

    /// How many records wait.
    pub fn queue_records(&self) -> usize {
        self.0.queue.len()
    }

    /// The database's file itself, even if `database.path` is a link.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether no record waits and no transaction is open.
    pub fn is_idle(&self) -> bool {
        self.queue_records() == 0 && self.writer().current().0 != WriterState::Committing
    }

    /// A size that cannot be read counts as 0.
    pub fn sizes(&self) -> Sizes {
        let bytes = |path: &Path| path.metadata().map_or(0, |file| file.len());
        Sizes {
            database_bytes: bytes(self.path()),
            wal_bytes: bytes(&paths::wal(self.path())),
            disk_free_bytes: rustix::fs::statvfs(self.path())
                .map_or(0, |found| found.f_bavail * found.f_frsize),
        }
    }

    /// The size of the database's file system.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(self.path())?;
        Ok(found.f_blocks * found.f_frsize)
    }

    /// Rejects every waiting and every later record: the end of the grace period. A transaction that has begun goes on.
    pub fn reject_all(&self) {
        for entry in self.0.queue.close() {
            entry.reject(Rejected::Draining);
        }
    }

    /// Tells the writer to end when the queue is empty.
    pub fn stop(&self) {
        self.0.queue.stop();
    }
}
