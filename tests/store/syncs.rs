//! A record is on disk before its response; a failed sync ends the process.

use crate::common::TIMEOUT;
use crate::common::client::Client;
use crate::common::server::Server;
use crate::common::syncs::Syncs;

#[test]
fn at_full_the_wal_is_synced_before_each_response() {
    let (server, syncs) = Syncs::start_server("full");
    for _ in 0..20 {
        let before = syncs.count();
        assert_eq!(server.get("/").status, 200);
        assert!(syncs.count() > before, "a response without a sync");
    }
}

#[test]
fn at_normal_responses_do_not_wait_for_the_disk() {
    let (server, syncs) = Syncs::start_server("normal");
    assert_eq!(server.get("/first").status, 200);
    let before = syncs.count();
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
    }
    assert_eq!(syncs.count(), before);
}

/// Sends a request whose sync fails: it gets no response, and the process ends.
fn ends_at_a_failed_sync(server: &mut Server, syncs: &Syncs) {
    let mut client = Client::connect(server.addr());
    syncs.fail_syncs();
    client.send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.read_until_closed(), b"", "no byte of a response");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
    let log = server.log();
    let error = "the outcome of a commit of 1 records is unknown";
    assert!(log.contains(error), "{log}");
}

#[test]
fn a_failed_sync_ends_the_process_without_a_response() {
    let (mut server, syncs) = Syncs::start_server("full");
    assert_eq!(server.get("/before").status, 200);
    ends_at_a_failed_sync(&mut server, &syncs);
}

/// The first commit after a checkpoint restarts the WAL, and SQLite itself syncs its header then.
#[test]
fn a_failed_sync_within_a_commit_ends_the_process_without_a_response() {
    for synchronous in ["normal", "full"] {
        let (mut server, syncs) = Syncs::start_server(synchronous);
        assert_eq!(server.get("/before").status, 200);
        server
            .db()
            .execute_batch("pragma wal_checkpoint(passive)")
            .expect("a checkpoint");
        ends_at_a_failed_sync(&mut server, &syncs);
    }
}
