//! Checkpoints, off the request path.
//!
//! PASSIVE only: anything stronger, beside Litestream, stalls every writer until its busy time-out. A first
//! checkpoint runs beside the writers and moves nearly everything; where the log has grown all the same, a second
//! one holds the write lock for the little that is left, so that the next writer can begin the log anew.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::OpenError;
use super::lock::WriteLock;
use super::open;
use super::same_file::SameFiles;
use crate::config::Database;
use crate::metrics::Metrics;
use crate::telemetry::log_rate_limited;

/// How often the log's length is looked at.
const INTERVAL: Duration = Duration::from_millis(200);
/// Frames (pages of 4 KiB) in the log that are worth a checkpoint: SQLite's own default.
const FRAMES_MIN: u32 = 1000;
/// Frames at which writers are held up for the rest: 16 MiB.
const FRAMES_LOCKED: i64 = 4000;
/// Frames at which the writer itself checkpoints, should this thread not keep up or not get through.
const FRAMES_BACKSTOP: u32 = 10_000;

thread_local! {
    /// Frames in the log after this thread's newest commit; SQLite's hook can carry no state of ours.
    static FRAMES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The thread's handle. Dropping it ends the thread and closes its connection, so that the writer's is the last
/// one of this process: SQLite empties the log when the last connection of all closes.
pub(super) struct Checkpointer {
    /// The log's length as the writer last saw it. It counts every process's frames.
    frames: Arc<AtomicU32>,
    running: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // It catches nothing: a panic of its own has been printed by then.
            let _ = thread.join();
        }
    }
}

impl Checkpointer {
    /// Counts the frames that this connection's commits leave in the log.
    pub fn watch(&self, connection: &Connection) {
        connection.wal_hook(Some(count_frames));
    }

    /// To be called by the watched connection's thread after a commit.
    pub fn publish_frames(&self) {
        self.frames.store(FRAMES.get(), Relaxed);
    }
}

fn count_frames(wal: &Wal, frames: i32) -> rusqlite::Result<()> {
    let before = FRAMES.replace(frames.unsigned_abs());
    // Once for each so many frames: where a reader pins the log, trying after every commit would gain nothing.
    if frames.unsigned_abs() / FRAMES_BACKSTOP > before / FRAMES_BACKSTOP {
        // An error here would make a commit look failed that is done: the thread will meet and log it.
        let _ = wal.checkpoint();
    }
    Ok(())
}

/// Starts the thread on a connection of its own.
pub(super) fn start(
    database: &Database,
    files: SameFiles,
    metrics: &Arc<Metrics>,
) -> Result<Checkpointer, OpenError> {
    let connection = open::connect(database)?;
    let mut lock = open::open_lock(database)?;
    let frames = Arc::new(AtomicU32::new(0));
    let (running, stopped) = mpsc::channel();
    let (metrics, seen) = (metrics.clone(), frames.clone());
    let thread = std::thread::Builder::new()
        .name("checkpointer".to_owned())
        .spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                if seen.swap(0, Relaxed) < FRAMES_MIN {
                    continue;
                }
                // A log that others have begun anew elsewhere is not to be mixed with this one. The writer's next commit
                // ends the process.
                if files.check().is_err() {
                    continue;
                }
                let started = Instant::now();
                match checkpoint(&connection, &mut lock) {
                    Ok(()) => metrics
                        .checkpoint_duration_seconds
                        .observe(started.elapsed().as_secs_f64()),
                    Err(error) => log_rate_limited("a checkpoint failed", &error),
                }
            }
        })
        .map_err(OpenError::Thread)?;
    Ok(Checkpointer {
        frames,
        running: Some(running),
        thread: Some(thread),
    })
}

fn checkpoint(connection: &Connection, lock: &mut WriteLock) -> rusqlite::Result<()> {
    let beside = passive(connection)?;
    // Busy: another process is at it.
    if beside.is_busy || beside.frames < FRAMES_LOCKED {
        return Ok(());
    }
    match lock.acquire() {
        Ok(_held) => passive(connection).map(drop),
        Err(error) => {
            log_rate_limited("the write lock, for a checkpoint", &error);
            Ok(())
        }
    }
}

/// What a checkpoint found and did.
#[derive(Debug)]
pub(super) struct Checkpointed {
    pub is_busy: bool,
    /// In the log; -1 where that is not known.
    pub frames: i64,
    /// Of these, also in the database.
    pub moved: i64,
}

pub(super) fn passive(connection: &Connection) -> rusqlite::Result<Checkpointed> {
    let done = connection
        .prepare_cached("pragma wal_checkpoint(passive)")?
        .query_row([], |row| {
            Ok(Checkpointed {
                is_busy: row.get(0)?,
                frames: row.get(1)?,
                moved: row.get(2)?,
            })
        })?;
    tracing::debug!(
        is_busy = done.is_busy,
        frames = done.frames,
        moved = done.moved,
        "checkpoint"
    );
    Ok(done)
}
