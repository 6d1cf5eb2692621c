//! A small disk, which a test can fill.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory. Mounting it needs root.
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

    /// Uses up all free space.
    pub fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("creating the ballast");
        // Fails when the disk is full.
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    /// Frees the space again.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("removing the ballast");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy: a process may still have files open. If it fails, a small mount stays until a reboot.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}
