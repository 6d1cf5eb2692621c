//! Checkpoints, on a thread of their own.
//!
//! They are always PASSIVE: beside Litestream, a stronger mode stalls every writer until its busy timeout. A first
//! checkpoint runs beside the writers and moves nearly all frames. If the WAL is still long, a second one holds the
//! write lock while it moves the rest, so that the next writer can restart the WAL.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::file_identity::DatabaseFiles;
use super::lock::WriteLock;
use super::open;
use super::open_error::OpenError;
use crate::config::Database;
use crate::metrics::Metrics;
use crate::telemetry::log_rate_limited;

/// How often the thread checks the length of the WAL.
const INTERVAL: Duration = Duration::from_millis(200);
/// Frames (pages of 4 KiB) in the WAL from which a checkpoint is due: SQLite's own default.
const FRAMES_MIN: u32 = 1000;
/// Frames from which a checkpoint takes the write lock: 16 MiB.
const FRAMES_LOCKED: i64 = 4000;
/// Frames at which the writer itself checkpoints, if this thread does not keep up or cannot.
const FRAMES_BACKSTOP: u32 = 10_000;

thread_local! {
    /// Frames in the WAL after this thread's newest commit; rusqlite's hook is a plain function without state.
    static FRAMES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The thread's handle. Dropping it ends the thread and closes its connection, so that the writer's is this process's last
/// one. SQLite empties the WAL when the last connection of any process closes.
pub(super) struct Checkpointer {
    /// The length of the WAL at the writer's newest commit, with the frames of every process.
    frames: Arc<AtomicU32>,
    /// The thread runs until this is dropped.
    running: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // An error here is a panic of the thread, which has already been logged.
            let _ = thread.join();
        }
    }
}

impl Checkpointer {
    /// Counts the frames in the WAL after each commit of this connection.
    pub fn watch(&self, connection: &Connection) {
        connection.wal_hook(Some(count_frames));
    }

    /// The watched connection's thread calls this after a commit.
    pub fn publish_frames(&self) {
        self.frames.store(FRAMES.get(), Relaxed);
    }
}

fn count_frames(wal: &Wal, frames: i32) -> rusqlite::Result<()> {
    let before = FRAMES.replace(frames.unsigned_abs());
    // Only when another 10,000 frames are reached: while a reader pins the WAL, an attempt after every commit achieves nothing.
    if frames.unsigned_abs() / FRAMES_BACKSTOP > before / FRAMES_BACKSTOP {
        // Returning an error would report a finished commit as failed. The thread meets the same error and logs it.
        let _ = wal.checkpoint();
    }
    Ok(())
}

/// Starts the thread on a connection of its own.
pub(super) fn start(
    database: &Database,
    files: DatabaseFiles,
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
                // A replaced WAL must not be mixed with this one. The writer's next commit ends the process.
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
    let first = passive(connection)?;
    // Busy: another process is checkpointing.
    if first.is_busy || first.frames < FRAMES_LOCKED {
        return Ok(());
    }
    match lock.acquire() {
        Ok(_guard) => passive(connection).map(drop),
        Err(error) => {
            log_rate_limited("a checkpoint could not take the write lock", &error);
            Ok(())
        }
    }
}

/// The result of `pragma wal_checkpoint`.
#[derive(Debug)]
pub(super) struct CheckpointResult {
    pub is_busy: bool,
    /// Frames in the WAL; -1 if that is unknown.
    pub frames: i64,
    /// How many of them are in the database, too.
    pub moved: i64,
}

pub(super) fn passive(connection: &Connection) -> rusqlite::Result<CheckpointResult> {
    let done = connection
        .prepare_cached("pragma wal_checkpoint(passive)")?
        .query_row([], |row| {
            Ok(CheckpointResult {
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
