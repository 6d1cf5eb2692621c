//! A disk that is soon full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system of its own, in memory. Needs root, like any mount.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    pub fn mount(bytes: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let status = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={bytes}"),
                "daybook-test",
            ])
            .arg(dir.path())
            .status()
            .expect("starting mount");
        assert!(
            status.success(),
            "mounting a small disk failed: this test must run as root"
        );
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the space there is.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("creating the ballast");
        // Ends when there is no space for another page.
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    /// Gives the space back.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("removing the ballast");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: it goes when its last user has gone. Should it fail, the machine keeps a small mount until it restarts.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}
