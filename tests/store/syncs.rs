//! What is on disk when a response leaves, and what happens when nobody can know.

use crate::common::TIMEOUT;
use crate::common::client::Client;
use crate::common::syncs::Syncs;

#[test]
fn at_full_the_log_is_synced_before_each_answer() {
    let (server, syncs) = Syncs::start_server("full");
    for _ in 0..20 {
        let before = syncs.count();
        assert_eq!(server.get("/").status, 200);
        assert!(syncs.count() > before, "a response without a sync");
    }
}

#[test]
fn at_normal_answers_do_not_wait_for_the_disk() {
    let (server, syncs) = Syncs::start_server("normal");
    assert_eq!(server.get("/first").status, 200);
    let before = syncs.count();
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
    }
    assert_eq!(syncs.count(), before);
}

#[test]
fn a_failed_sync_ends_the_process_and_answers_nobody() {
    let (mut server, syncs) = Syncs::start_server("full");
    assert_eq!(server.get("/before").status, 200);
    let mut client = Client::connect(server.addr());
    syncs.fail_syncs();
    client.send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");

    assert_eq!(client.read_until_closed(), b"", "no byte of a response");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
    let log = server.log();
    assert!(
        log.contains("the outcome of a commit of 1 records is unknown"),
        "{log}"
    );
}

/// The first commit after a checkpoint begins the log anew, and SQLite itself syncs its first bytes then.
#[test]
fn a_failed_sync_within_a_commit_ends_the_process_and_answers_nobody() {
    for synchronous in ["normal", "full"] {
        let (mut server, syncs) = Syncs::start_server(synchronous);
        assert_eq!(server.get("/before").status, 200);
        server
            .db()
            .execute_batch("pragma wal_checkpoint(passive)")
            .expect("a checkpoint");
        let mut client = Client::connect(server.addr());
        syncs.fail_syncs();
        client.send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");

        assert_eq!(client.read_until_closed(), b"", "no byte of a response");
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
        let log = server.log();
        assert!(log.contains("the outcome of a commit"), "{log}");
    }
}
