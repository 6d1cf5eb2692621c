//! Detects that an open file was removed or replaced.
//!
//! A process goes on writing to a file that was unlinked or replaced, and no process reads those writes. So the writer
//! compares the paths of the database, the WAL and the WAL-index with the files it opened before it writes, and the WAL
//! again before any response. SQLite itself removes or creates none of them while a connection is open; it truncates and
//! restarts its WAL in place. (A stat(2) took 0.6 to 1.8 µs, on two cores idle and overloaded; a batch shares them.)

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::paths;

/// The file that a path named when it was opened.
#[derive(Clone)]
pub(super) struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The reason why a path no longer names its file.
#[derive(Debug)]
pub enum FileChange {
    /// The path names no file.
    Removed,
    /// The path names another file.
    Replaced,
    /// The path cannot be checked.
    Unknown(io::Error),
}

impl fmt::Display for FileChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => formatter.write_str("was removed"),
            Self::Replaced => formatter.write_str("was replaced by another file"),
            Self::Unknown(error) => write!(formatter, "cannot be checked ({error})"),
        }
    }
}

impl FileIdentity {
    /// Of the file that `metadata` describes, which was opened by this path.
    pub fn new(path: &Path, metadata: &std::fs::Metadata) -> Self {
        Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error if the path now names another file, or none.
    pub fn check(&self) -> Result<(), FileChange> {
        match self.path.metadata() {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(FileChange::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FileChange::Removed),
            Err(error) => Err(FileChange::Unknown(error)),
        }
    }
}

/// The open database, its WAL and its WAL-index, which belong together.
#[derive(Clone)]
pub(super) struct DatabaseFiles {
    database: FileIdentity,
    wal: FileIdentity,
    shm: FileIdentity,
}

/// A file that is not the opened one any more.
#[derive(Debug)]
pub(super) struct ChangedFile {
    pub path: PathBuf,
    pub change: FileChange,
    /// It is the WAL, and was removed.
    pub is_removed_wal: bool,
}

impl DatabaseFiles {
    /// Of a database that a connection has read from, and keeps open.
    ///
    /// # Errors
    /// With the path of the file that cannot be checked.
    pub fn of(database: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let file = |path: PathBuf| match path.metadata() {
            Ok(metadata) => Ok(FileIdentity::new(&path, &metadata)),
            Err(source) => Err((path, source)),
        };
        Ok(Self {
            database: file(database.to_owned())?,
            wal: file(paths::wal(database))?,
            shm: file(paths::shm(database))?,
        })
    }

    /// Checks all three, with one stat(2) each.
    pub fn check(&self) -> Result<(), ChangedFile> {
        for file in [&self.database, &self.shm] {
            file.check().map_err(|change| ChangedFile {
                path: file.path.clone(),
                is_removed_wal: false,
                change,
            })?;
        }
        self.check_wal()
    }

    /// Checks the WAL alone.
    pub fn check_wal(&self) -> Result<(), ChangedFile> {
        self.wal.check().map_err(|change| ChangedFile {
            path: self.wal.path.clone(),
            is_removed_wal: matches!(change, FileChange::Removed),
            change,
        })
    }
}
