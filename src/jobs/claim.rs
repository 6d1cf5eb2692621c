//! The right to run a job: a lock on `<database>.job-NAME.lock`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::lock_file;
use crate::store::beside;

/// The lock of one run; dropping it releases it. When the process dies, the kernel does.
pub(super) struct Claim(File);

/// The lock file of a job.
pub(super) fn path(database: &Path, job: &str) -> PathBuf {
    beside(database, &format!(".job-{job}.lock"))
}

impl Claim {
    /// Takes the lock, unless a run of this job holds it. Never waits.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = lock_file::open(path)?;
        Ok(lock_file::try_lock(&file)?.then_some(Self(file)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that a job has just started may still have a copy of the descriptor.
        if let Err(error) = self.0.unlock() {
            tracing::error!(%error, "a job's lock could not be released");
        }
    }
}
