//! Syncing commits to disk outside the write lock, so that the syncs of several replicas overlap.
//!
//! SQLite's own `synchronous = full` syncs the write-ahead log within `COMMIT`: four replicas that queue for the lock
//! wait for each other's disk. At `normal` it still syncs where the *file* would else be at risk (the header of a log
//! begun anew; around a checkpoint), so a power cut costs no more than the newest commits, and what is left is a whole
//! number of them, in order. A sync of the log after the commit, before anybody is told, takes that away, too: it covers
//! this commit and all before it, whoever made them. (sqlite.org, "PRAGMA synchronous" and "WAL-mode File Format".)

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The write-ahead log, opened once more. SQLite unlinks it only when the last connection closes, and takes no lock on
/// it that closing another descriptor could give back.
pub(super) struct LogFile(File);

impl LogFile {
    /// Opens the log of a database that a connection has read from, and keeps open.
    pub fn open(database: &Path) -> io::Result<Self> {
        OpenOptions::new()
            .write(true)
            .open(path(database))
            .map(Self)
    }

    /// Returns when all that was committed before is on disk.
    ///
    /// # Errors
    /// What was committed may be lost in a power cut, or not: the kernel reports a page that could not be written once,
    /// and forgets it.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Where the log of a database lies.
pub(super) fn path(database: &Path) -> PathBuf {
    super::path::beside(database, "-wal")
}
