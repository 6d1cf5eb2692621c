//! Whether the paths of a database still name the files that were opened.
//!
//! Unlinking or replacing a file does not disturb the process that has it open: it goes on writing what nobody will
//! ever read. So the writer looks at database, log and index before it writes, and at the log once more before it answers.
//! SQLite itself removes or creates none of them while a connection is open; it shortens its log and begins it anew in
//! place. (A stat(2) took 0.6 to 1.8 µs, on two cores idle and overloaded; a batch shares them.)

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::path::beside;

/// A file as it was when it was opened.
#[derive(Clone)]
pub(super) struct SameFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// What has become of the file behind a path.
#[derive(Debug)]
pub enum Change {
    /// Nothing is there.
    Removed,
    /// Another file is there.
    Replaced,
    /// It cannot be looked at.
    Unknown(io::Error),
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => formatter.write_str("was removed"),
            Self::Replaced => formatter.write_str("was replaced by another file"),
            Self::Unknown(error) => write!(formatter, "cannot be looked at ({error})"),
        }
    }
}

impl SameFile {
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::found(path, &path.metadata()?))
    }

    /// The file that `metadata` is of, which was opened by this path.
    pub fn found(path: &Path, metadata: &std::fs::Metadata) -> Self {
        Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error if the path names another file now, or none.
    pub fn check(&self) -> Result<(), Change> {
        match self.path.metadata() {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(Change::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Change::Removed),
            Err(error) => Err(Change::Unknown(error)),
        }
    }
}

/// The database, its log and its index, which belong together.
#[derive(Clone)]
pub(super) struct SameFiles {
    database: SameFile,
    log: SameFile,
    index: SameFile,
}

/// One of them is not the one that was opened.
#[derive(Debug)]
pub(super) struct Changed {
    pub path: PathBuf,
    pub change: Change,
    /// It is the log, which was removed.
    pub is_lost_log: bool,
}

impl SameFiles {
    /// Of a database that a connection has read from, and keeps open.
    ///
    /// # Errors
    /// With the path of the file that cannot be looked at.
    pub fn of(database: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let file = |suffix: &str| {
            let path = beside(database, suffix);
            SameFile::of(&path).map_err(|source| (path, source))
        };
        Ok(Self {
            database: file("")?,
            log: file("-wal")?,
            index: file("-shm")?,
        })
    }

    /// All of them: three stat(2).
    pub fn check(&self) -> Result<(), Changed> {
        for file in [&self.database, &self.index] {
            file.check().map_err(|change| Changed {
                path: file.path.clone(),
                is_lost_log: false,
                change,
            })?;
        }
        self.check_log()
    }

    /// The log alone.
    pub fn check_log(&self) -> Result<(), Changed> {
        self.log.check().map_err(|change| Changed {
            path: self.log.path.clone(),
            is_lost_log: matches!(change, Change::Removed),
            change,
        })
    }
}
