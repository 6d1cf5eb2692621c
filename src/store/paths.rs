//! The paths of the files beside a database: SQLite's own, and the lock file.

use std::path::{Path, PathBuf};

/// The write-ahead log (WAL).
pub(super) fn wal(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// The WAL-index, which the connections share as memory.
pub(super) fn shm(database: &Path) -> PathBuf {
    with_suffix(database, "-shm")
}

/// The rollback journal of a database that is not in WAL mode.
pub(super) fn journal(database: &Path) -> PathBuf {
    with_suffix(database, "-journal")
}

/// The write lock between the processes.
pub(super) fn lock(database: &Path) -> PathBuf {
    with_suffix(database, ".lock")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
