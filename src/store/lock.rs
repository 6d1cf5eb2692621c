//! The write lock between processes: `flock` on a separate file next to the database.
//!
//! SQLite's own busy handler sleeps and retries, which costs four processes a p99 of 199 ms. Writers that queue in the
//! kernel share the file evenly, and a process that dies releases the lock at once.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;

use super::file_identity::{FileChange, FileIdentity};
use super::paths;
use crate::lock_file;

/// How often a holder checks that the path still names its lock file. Until then, processes with the old and the new
/// file wait for each other as foreign writers do, by SQLite's own lock.
const IDENTITY_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The open lock file. `flock` belongs to the open file, so each thread must open its own. Two threads that share one
/// would both hold the lock, and each would release it for the other.
///
/// daybook never unlinks the file: a process with the old file would hold a lock that no other process sees. A user may
/// delete it as a leftover, so the holder checks once a second and opens the new file.
pub(super) struct WriteLock {
    file: File,
    identity: FileIdentity,
    checked_at: Instant,
}

/// Unlocks when dropped.
pub(super) struct LockGuard<'a> {
    file: &'a File,
}

impl WriteLock {
    /// Opens (or creates) the lock file of a database.
    pub fn open(database: &Path) -> io::Result<Self> {
        Self::open_at(&paths::lock(database))
    }

    fn open_at(path: &Path) -> io::Result<Self> {
        let file = lock_file::open(path)?;
        let identity = FileIdentity::new(path, &file.metadata()?);
        Ok(Self {
            file,
            identity,
            checked_at: Instant::now(),
        })
    }

    /// As [`WriteLock::acquire`], but calls `before_waiting` first if another process holds the lock.
    pub fn acquire_or_call(&mut self, before_waiting: impl FnOnce()) -> io::Result<LockGuard<'_>> {
        if !lock_file::try_lock(&self.file)? {
            before_waiting();
        }
        self.acquire()
    }

    /// Waits, without a timeout, until this process holds the lock.
    pub fn acquire(&mut self) -> io::Result<LockGuard<'_>> {
        loop {
            retry_on_intr(|| flock(&self.file, FlockOperation::LockExclusive))?;
            if self.checked_at.elapsed() < IDENTITY_CHECK_INTERVAL {
                return Ok(LockGuard { file: &self.file });
            }
            self.checked_at = Instant::now();
            match self.identity.check() {
                Ok(()) => return Ok(LockGuard { file: &self.file }),
                Err(FileChange::Unknown(error)) => return Err(error),
                Err(FileChange::Removed | FileChange::Replaced) => {
                    *self = Self::open_at(self.identity.path())?;
                }
            }
        }
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            // Cannot fail on a valid descriptor. If it does, the other replicas wait until this process ends.
            tracing::error!(%error, "the write lock could not be released");
        }
    }
}

/// How often [`holder`] reads `/proc/locks`: the kernel can leave out a line while other locks come and go.
const HOLDER_READS_MAX: usize = 3;

/// The process that holds a database's lock, for the log. From `/proc/locks`; none where that does not show it (in
/// another PID namespace, for example).
pub(super) fn holder(database: &Path) -> Option<u32> {
    let file = std::fs::metadata(paths::lock(database)).ok()?;
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    let wanted = format!("{major:02x}:{minor:02x}:{}", file.ino());
    (0..HOLDER_READS_MAX).find_map(|_| {
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        locks.lines().find_map(|line| holder_in(line, &wanted))
    })
}

/// The process in a line such as "1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF", if it is of that file. A waiter's
/// line has "->" in second place.
fn holder_in(line: &str, wanted: &str) -> Option<u32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else {
        return None;
    };
    let pid = pid.parse().ok().filter(|pid| *pid != 0);
    pid.filter(|_| file == wanted)
}
