//! The write lock between processes: `flock` on a file of its own beside the database.
//!
//! SQLite's own busy handler sleeps and tries again, which costs four processes a p99 of 199 ms; writers that
//! queue in the kernel share the file evenly. A process that dies loses the lock at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::same_file::{Change, SameFile};

/// The open lock file. `flock` belongs to the open file, so each thread that takes the lock must open its own: two that
/// shared one would both hold the lock, and each would give it back for the other.
///
/// We never unlink the file: a process that has it open would then hold a lock nobody else sees. Somebody else may, who
/// takes it for a left-over; so whoever has the lock looks whether it is still the one that others will find.
pub(super) struct WriteLock {
    file: File,
    place: SameFile,
    looked: Instant,
}

/// How often it is looked whether the lock file is still the one that others will find. Until then two groups of replicas
/// wait for each other as foreign writers do, by SQLite's own lock.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Unlocks when dropped.
pub(super) struct LockGuard<'a> {
    file: &'a File,
}

impl WriteLock {
    /// Opens (or creates) the lock file of a database.
    pub fn open(database: &Path) -> io::Result<Self> {
        Self::open_at(&path(database))
    }

    fn open_at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let place = SameFile::found(path, &file.metadata()?);
        Ok(Self {
            file,
            place,
            looked: Instant::now(),
        })
    }

    /// Waits like [`WriteLock::acquire`], and calls `before_waiting` first if somebody else has the lock.
    pub fn acquire_telling(&mut self, before_waiting: impl FnOnce()) -> io::Result<LockGuard<'_>> {
        match self.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => before_waiting(),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        self.acquire()
    }

    /// Waits, without a time limit, until this process holds the lock.
    pub fn acquire(&mut self) -> io::Result<LockGuard<'_>> {
        loop {
            match self.file.lock() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            if self.looked.elapsed() < LOOK_INTERVAL {
                return Ok(LockGuard { file: &self.file });
            }
            self.looked = Instant::now();
            match self.place.check() {
                Ok(()) => return Ok(LockGuard { file: &self.file }),
                Err(Change::Unknown(error)) => return Err(error),
                Err(Change::Removed | Change::Replaced) => {
                    *self = Self::open_at(self.place.path())?;
                }
            }
        }
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            // Cannot fail on a valid descriptor; if it does, the other replicas wait until this process ends.
            tracing::error!(%error, "the write lock could not be given back");
        }
    }
}

/// Where the lock of a database lies.
pub(super) fn path(database: &Path) -> PathBuf {
    super::path::beside(database, ".lock")
}

/// The process that holds a database's lock, for the log. From `/proc/locks`; none where that shows nothing
/// (another PID namespace, say).
pub(super) fn holder(database: &Path) -> Option<u32> {
    let file = std::fs::metadata(path(database)).ok()?;
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    let wanted = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // "1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF"; a waiter's line has "->" in second place.
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else {
            return None;
        };
        let pid = pid.parse().ok().filter(|pid| *pid != 0);
        pid.filter(|_| file == wanted)
    })
}
