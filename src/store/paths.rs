//! The paths of the files beside a database: SQLite's own, and the lock file.

use std::path::{Path, PathBuf};

/// The write-ahead log (WAL).
pub(super) fn wal(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// The WAL-index, which the connections share as memory.
pub(super) fn shm(database: &Path) -> PathBuf {
    beside(database, "-shm")
}

/// The rollback journal of a database that is not in WAL mode.
pub(super) fn journal(database: &Path) -> PathBuf {
    beside(database, "-journal")
}

/// The write lock between the processes.
pub(super) fn lock(database: &Path) -> PathBuf {
    beside(database, ".lock")
}

/// The path of a file whose name is this one's with a suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
