//! When a checkpoint runs, and when it makes the writers wait.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::common::TIMEOUT;
use crate::common::eventually;
use crate::common::load::Load;
use crate::common::locks::{WriteLock, lock_file};
use crate::common::server::Server;
use rusqlite::Connection;

/// Whether a thread of the server waits for the lock file, by the kernel's list of locks.
fn waits_for_the_lock(server: &Server) -> bool {
    let inode = fs::metadata(lock_file(server.database_path()))
        .expect("the lock file")
        .ino();
    let (process, file) = (format!(" {} ", server.pid()), format!(":{inode} "));
    fs::read_to_string("/proc/locks")
        .expect("the kernel's locks")
        .lines()
        .any(|line| line.contains("-> FLOCK") && line.contains(&process) && line.contains(&file))
}

/// While this read is open, the WAL cannot restart, and grows.
fn long_read(server: &Server) -> Connection {
    let reader = server.db();
    reader
        .execute_batch("begin; select * from requests")
        .expect("reading");
    reader
}

fn checkpoints(server: &Server) -> f64 {
    server.metric("daybook_checkpoint_duration_seconds_count", &[])
}

/// Holds the lock file after a recorded request, for a second at a time, until `is_done`, which gets the number of
/// checkpoints before. (A checkpoint may run before the lock is taken; then another request makes another one due.)
fn hold_the_lock_until(server: &Server, what: &str, is_done: impl Fn(f64) -> bool) {
    let mut held: Option<(WriteLock, f64, Instant)> = None;
    eventually(what, TIMEOUT * 3, || {
        if held.as_ref().is_some_and(|(_, before, _)| is_done(*before)) {
            return true;
        }
        let is_over =
            |(_, _, taken): &(WriteLock, f64, Instant)| taken.elapsed() > Duration::from_secs(1);
        if held.as_ref().is_none_or(is_over) {
            held = None;
            // After its response, only a checkpoint can wait for the lock.
            assert_eq!(server.get("/due").status, 200);
            let lock = WriteLock::take(server.database_path());
            held = Some((lock, checkpoints(server), Instant::now()));
        }
        false
    });
}

#[test]
fn a_short_wal_is_not_checkpointed() {
    let server = Server::start();
    assert_eq!(server.get("/").status, 200);
    let begun = Instant::now();
    eventually("it was checked several times", TIMEOUT, || {
        begun.elapsed() > Duration::from_secs(1)
    });
    assert_eq!(checkpoints(&server), 0.0);
}

#[test]
fn a_checkpoint_of_a_wal_of_medium_length_does_not_wait_for_the_lock_file() {
    let server = Server::start();
    let _read = long_read(&server);
    let load = Load::with_long_paths(server.addr(), "some", 4, 6000);
    // Rows of two or three pages: more than the 1,000 from which a checkpoint is due, fewer than the 4,000 of a long WAL.
    load.wait_for(500, TIMEOUT * 6);
    load.stop();
    hold_the_lock_until(&server, "a checkpoint ends without the lock", |before| {
        checkpoints(&server) > before
    });
}

/// A long WAL can restart only after a checkpoint under the lock, during which no writer adds to it.
#[test]
fn a_checkpoint_of_a_long_wal_waits_for_the_lock_file() {
    let server = Server::start();
    let read = long_read(&server);
    let load = Load::with_long_paths(server.addr(), "long", 16, 6000);
    // More than 16 MiB, with rows of two pages or more.
    load.wait_for(4000, TIMEOUT * 6);
    load.stop();
    hold_the_lock_until(&server, "a checkpoint waits for the lock", |_| {
        waits_for_the_lock(&server)
    });
    drop(read);
    assert_eq!(server.get("/after").status, 200);
}
