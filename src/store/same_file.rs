//! Whether a path still names the file that was opened.
//!
//! Unlinking or replacing a database does not disturb the process that has it open: it goes on writing what nobody
//! will ever read. So the writer looks before each batch, which costs one stat(2).

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file as it was when it was opened.
pub(super) struct SameFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SameFile {
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = path.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// An error if the path names another file now, or none.
    pub fn check(&self) -> io::Result<()> {
        let found = self.path.metadata()?;
        if (found.dev(), found.ino()) == (self.device, self.inode) {
            Ok(())
        } else {
            Err(io::Error::other("it was replaced by another file"))
        }
    }
}
