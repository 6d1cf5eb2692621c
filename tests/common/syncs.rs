//! Daybook with a library preloaded that watches its syncs, and lets them fail or hang as a dying disk does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::config::Config;
use super::server::Server;

/// The files that the library looks at.
pub struct Syncs(tempfile::TempDir);

impl Syncs {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Has the server of that configuration watched.
    pub fn watch(&self, config: &mut Config) {
        let path = |name: &str| self.path(name).display().to_string();
        config
            .environment("LD_PRELOAD", &self.build_library().display().to_string())
            .environment("SYNC_LOG", &path("syncs"))
            .environment("FAIL_SYNC", &path("the disk is dying"))
            .environment("HANG_SYNC", &path("the disk hangs"));
    }

    /// A watched server.
    pub fn start_server(synchronous: &str) -> (Server, Self) {
        let syncs = Self::new();
        let server = Server::with(|c| {
            c.text("database.synchronous", synchronous);
            syncs.watch(c);
        });
        (server, syncs)
    }

    /// How often the write-ahead log was synced until now.
    pub fn count(&self) -> u64 {
        let log = self.path("syncs").metadata();
        log.expect("made by the library when it is loaded").len()
    }

    pub fn fail_syncs(&self) {
        fs::write(self.path("the disk is dying"), "").expect("the trigger");
    }

    /// From now on, until [`Syncs::resume_syncs`], no sync ends.
    pub fn hang_syncs(&self) {
        fs::write(self.path("the disk hangs"), "").expect("the trigger");
    }

    pub fn resume_syncs(&self) {
        fs::remove_file(self.path("the disk hangs")).expect("removing the trigger");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn build_library(&self) -> PathBuf {
        let library = self.path("sync.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/sync.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler, which SQLite needs too");
        assert!(compiled.success());
        library
    }
}
