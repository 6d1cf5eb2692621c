//! What is on disk when an answer leaves, and what happens when nobody can know.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::SOON;
use common::raw::Client;
use common::server::Server;

/// Daybook with a library preloaded that watches its syncs.
struct Watched {
    server: Server,
    dir: tempfile::TempDir,
}

impl Watched {
    fn with(synchronous: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let library = build_library(dir.path());
        let path = |name: &str| dir.path().join(name).display().to_string();
        let server = Server::with(|c| {
            c.text("database.synchronous", synchronous)
                .environment("LD_PRELOAD", &library.display().to_string())
                .environment("SYNC_LOG", &path("syncs"))
                .environment("FAIL_SYNC", &path("the disk is dying"));
        });
        Self { server, dir }
    }

    /// How often the write-ahead log was synced until now.
    fn syncs(&self) -> u64 {
        fs::metadata(self.dir.path().join("syncs")).map_or(0, |file| file.len())
    }

    fn let_the_disk_die(&self) {
        fs::write(self.dir.path().join("the disk is dying"), "").expect("the trigger");
    }
}

fn build_library(dir: &Path) -> PathBuf {
    let library = dir.join("sync.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/sync.c"))
        .arg("-ldl")
        .status()
        .expect("a C compiler, which SQLite needs too");
    assert!(compiled.success());
    library
}

#[test]
fn at_full_the_log_is_synced_before_each_answer() {
    let watched = Watched::with("full");
    for _ in 0..20 {
        let before = watched.syncs();
        assert_eq!(watched.server.get("/").status, 200);
        assert!(watched.syncs() > before, "an answer without a sync");
    }
}

#[test]
fn at_normal_answers_do_not_wait_for_the_disk() {
    let watched = Watched::with("normal");
    assert_eq!(watched.server.get("/first").status, 200);
    let before = watched.syncs();
    for _ in 0..20 {
        assert_eq!(watched.server.get("/").status, 200);
    }
    assert_eq!(watched.syncs(), before);
}

#[test]
fn a_failed_sync_ends_the_process_and_answers_nobody() {
    let mut watched = Watched::with("full");
    assert_eq!(watched.server.get("/before").status, 200);
    let mut client = Client::connect(watched.server.addr());
    watched.let_the_disk_die();
    client.send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");

    assert!(
        client.rest().map_or(true, |sent| sent.is_empty()),
        "no byte of an answer"
    );
    assert_eq!(watched.server.wait_exit(SOON).code(), Some(1));
    let log = watched.server.log();
    assert!(
        log.contains("the outcome of a commit of 1 records is unknown"),
        "{log}"
    );
}
