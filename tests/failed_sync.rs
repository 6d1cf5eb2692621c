//! A commit whose outcome nobody can know.

mod common;

use std::fs;
use std::process::Command;

use common::SOON;
use common::raw::Client;
use common::server::Server;

#[test]
fn a_failed_sync_ends_the_process_and_answers_nobody() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let library = dir.path().join("fail_sync.so");
    let trigger = dir.path().join("the disk is dying");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/fail_sync.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl"])
        .status()
        .expect("a C compiler, which SQLite needs too");
    assert!(compiled.success());

    let mut server = Server::with(|c| {
        c.text("database.synchronous", "full")
            .environment("LD_PRELOAD", &library.display().to_string())
            .environment("FAIL_SYNC", &trigger.display().to_string());
    });
    assert_eq!(server.get("/before").status, 200);
    let mut client = Client::connect(server.addr());
    fs::write(&trigger, "").expect("the trigger");
    client.send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");

    assert!(
        client.rest().map_or(true, |sent| sent.is_empty()),
        "no byte of an answer"
    );
    assert_eq!(server.wait_exit(SOON).code(), Some(1));
    let log = server.log();
    assert!(
        log.contains("the outcome of a commit of 1 records is unknown"),
        "{log}"
    );
}
