//! The behaviour that Litestream relies on. Litestream itself is tested in e2e/litestream.

use std::fs;

use super::{beside, database_path, replica};
use crate::common::load::Load;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

fn wal_bytes(server: &Server) -> u64 {
    let path = beside(server.database_path(), "-wal");
    fs::metadata(path).expect("the WAL").len()
}

/// Records requests until the WAL was reset, and returns its longest and its last length.
fn lengths_over_a_reset(server: &Server) -> (u64, u64) {
    let load = Load::start(server.addr(), "reset", 2);
    let mut longest = 0;
    let mut resets = 0;
    let mut before = salts(server);
    eventually("the WAL was reset twice", TIMEOUT * 3, || {
        longest = longest.max(wal_bytes(server));
        let now = salts(server);
        resets += u32::from(now != before);
        before = now;
        resets == 2
    });
    // The first commit after a reset writes the salts before it cuts the WAL.
    load.wait_for(10, TIMEOUT);
    let last = wal_bytes(server);
    load.stop();
    (longest, last)
}

/// The WAL's salts, which change at each reset (sqlite.org, "WAL-mode File Format").
fn salts(server: &Server) -> Vec<u8> {
    let wal = fs::read(beside(server.database_path(), "-wal")).expect("the WAL");
    wal.get(16..24).unwrap_or_default().to_vec()
}

#[test]
fn a_reset_cuts_the_wal_of_a_database_that_litestream_copies_and_of_no_other() {
    for (is_copied, table) in [(true, "_litestream_seq"), (false, "other")] {
        let (_dir, path) = database_path();
        let server = replica(&path);
        let create = format!("create table {table} (id integer primary key, seq integer)");
        server.db().execute_batch(&create).expect("a table");
        let (longest, last) = lengths_over_a_reset(&server);
        match is_copied {
            true => assert!(last < longest / 2, "{last} of {longest} bytes"),
            false => assert_eq!(last, longest),
        }
    }
}
