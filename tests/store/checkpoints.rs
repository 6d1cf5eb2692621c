//! What a checkpoint takes from the writers, and when.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::common::TIMEOUT;
use crate::common::eventually;
use crate::common::load::Load;
use crate::common::locks::{WriteLock, lock_file};
use crate::common::server::Server;
use rusqlite::Connection;

/// Whether a thread of the server waits for the lock file, as the kernel sees it.
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

/// While it is there the log cannot be begun anew, and grows.
fn reader_without_end(server: &Server) -> Connection {
    let reader = server.db();
    reader
        .execute_batch("begin; select * from requests")
        .expect("reading");
    reader
}

fn checkpoints(server: &Server) -> f64 {
    server.metric("daybook_checkpoint_duration_seconds_count", &[])
}

#[test]
fn a_short_log_is_left_alone() {
    let server = Server::start();
    assert_eq!(server.get("/").status, 200);
    let begun = Instant::now();
    eventually("it was looked at several times", TIMEOUT, || {
        begun.elapsed() > Duration::from_secs(1)
    });
    assert_eq!(checkpoints(&server), 0.0);
}

/// Only what is left of a long log is worth holding up the writers.
#[test]
fn a_checkpoint_of_a_log_that_is_not_long_waits_for_nobody() {
    let server = Server::start();
    let _reader = reader_without_end(&server);
    let load = Load::with_long_paths(server.addr(), "some", 4, 6000);
    // Rows of two pages or three: more than the 1,000 that are worth a checkpoint, fewer than the 4,000 of a long log.
    load.wait_for(500, TIMEOUT * 6);
    load.stop();
    let mut held: Option<(WriteLock, f64, Instant)> = None;
    eventually("a checkpoint ends beside the lock", TIMEOUT * 3, || {
        if let Some((_, before, _)) = &held
            && checkpoints(&server) > *before
        {
            return true;
        }
        let is_over =
            |(_, _, taken): &(WriteLock, f64, Instant)| taken.elapsed() > Duration::from_secs(1);
        if held.as_ref().is_none_or(is_over) {
            held = None;
            assert_eq!(server.get("/due").status, 200);
            let lock = WriteLock::take(server.database_path());
            held = Some((lock, checkpoints(&server), Instant::now()));
        }
        false
    });
}

/// A long log is begun anew under the lock, for only then no writer adds to it meanwhile.
#[test]
fn a_checkpoint_of_a_long_log_waits_for_whoever_has_the_lock_file() {
    let server = Server::start();
    let reader = reader_without_end(&server);
    let load = Load::with_long_paths(server.addr(), "long", 16, 6000);
    // Beyond 16 MiB, with rows of two pages or more.
    load.wait_for(4000, TIMEOUT * 6);
    load.stop();
    let mut held: Option<(WriteLock, Instant)> = None;
    eventually("the checkpoint waits for the lock", TIMEOUT * 3, || {
        if held.is_some() && waits_for_the_lock(&server) {
            return true;
        }
        // A checkpoint may have been quicker than we were: then another commit makes another one due.
        let is_over = |(_, taken): &(WriteLock, Instant)| taken.elapsed() > Duration::from_secs(1);
        if held.as_ref().is_none_or(is_over) {
            held = None;
            // Once it is answered, nobody but a checkpoint may wait for the lock.
            assert_eq!(server.get("/due").status, 200);
            held = Some((WriteLock::take(server.database_path()), Instant::now()));
        }
        false
    });
    drop((held, reader));
    assert_eq!(server.get("/after").status, 200);
}
