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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_ends_although_a_child_process_has_a_copy_of_its_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = path(&directory.path().join("requests.db"), "test");
        let take = || Claim::try_take(&path).expect("a lock file");
        let claim = take().expect("a claim");
        let _copy = claim.0.try_clone().expect("a copy");
        assert!(take().is_none());
        drop(claim);
        assert!(take().is_some());
    }
}
