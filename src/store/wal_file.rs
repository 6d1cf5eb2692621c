//! Syncs commits outside the write lock, so that the syncs of several replicas overlap.
//!
//! With SQLite's own `synchronous = full`, `COMMIT` syncs the WAL: replicas that queue for the lock then wait for each
//! other's disk. At `normal`, SQLite syncs only where the *file* would be at risk: the header of a restarted WAL, and
//! around a checkpoint. A power failure then loses the newest commits, never an older one or part of one. A sync of the
//! WAL after the commit, before any response, closes that gap: it covers all commits so far, of every process.
//! (sqlite.org, "PRAGMA synchronous" and "WAL-mode File Format".)

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use super::paths;

/// A second descriptor of the WAL. SQLite unlinks the file only when the last connection closes, and has no lock on it
/// that closing this descriptor could release.
pub(super) struct WalFile(File);

impl WalFile {
    /// Opens the WAL of a database that a connection has read from, and keeps open.
    pub fn open(database: &Path) -> io::Result<Self> {
        OpenOptions::new()
            .write(true)
            .open(paths::wal(database))
            .map(Self)
    }

    /// Returns when everything committed so far is on disk.
    ///
    /// # Errors
    /// The commits may or may not survive a power failure. A second sync cannot tell: the kernel reports a page that it
    /// could not write only once.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
