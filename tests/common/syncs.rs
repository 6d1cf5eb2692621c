//! Preloads a library into daybook that counts its syncs, and lets them fail or hang.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::config::Config;
use super::server::Server;

/// The files that control the library.
pub struct Syncs(tempfile::TempDir);

/// The library within this process.
pub struct Inherited(PathBuf);

impl Inherited {
    /// As [`Syncs::count`].
    pub fn count(&self) -> u64 {
        count(&self.0)
    }
}

fn count(log: &Path) -> u64 {
    log.metadata()
        .expect("made by the library when it is loaded")
        .len()
}

impl Syncs {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Runs the calling test, whose path is `test`, once more with the library preloaded. Returns the library in that
    /// second run, and None in the first one after the second has passed.
    pub fn in_a_second_run(test: &str) -> Option<Inherited> {
        if let Some(log) = std::env::var_os("SYNC_LOG") {
            return Some(Inherited(log.into()));
        }
        let syncs = Self::new();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([test, "--exact"]).envs(syncs.environment());
        let run = command.output().expect("a second run");
        let output = String::from_utf8_lossy(&run.stdout);
        assert!(output.contains("1 passed"), "{output}");
        None
    }

    /// The variables that preload the library.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.path(name).display().to_string();
        vec![
            ("LD_PRELOAD", self.build_library().display().to_string()),
            ("SYNC_LOG", path("syncs")),
            ("FAIL_SYNC", path("fail")),
            ("HANG_SYNC", path("hang")),
        ]
    }

    /// Preloads the library into the server of `config`.
    pub fn preload(&self, config: &mut Config) {
        for (name, value) in self.environment() {
            config.environment(name, &value);
        }
    }

    /// Starts a server with the library.
    pub fn start_server(synchronous: &str) -> (Server, Self) {
        let syncs = Self::new();
        let server = Server::with(|c| {
            c.text("database.synchronous", synchronous);
            syncs.preload(c);
        });
        (server, syncs)
    }

    /// The number of syncs of the write-ahead log so far.
    pub fn count(&self) -> u64 {
        count(&self.path("syncs"))
    }

    pub fn fail_syncs(&self) {
        fs::write(self.path("fail"), "").expect("the trigger");
    }

    /// No sync ends until [`Syncs::resume_syncs`].
    pub fn hang_syncs(&self) {
        fs::write(self.path("hang"), "").expect("the trigger");
    }

    pub fn resume_syncs(&self) {
        fs::remove_file(self.path("hang")).expect("removing the trigger");
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
