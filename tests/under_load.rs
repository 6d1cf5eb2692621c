//! What must hold while much is going on, and while nothing is.

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::hold::{WriteLock, asking, wait_until_queued};
use common::load::{Load, assert_recorded, assert_sound};
use common::raw::Client;
use common::server::Server;
use common::{SOON, db, eventually};

const MEBIBYTE: u64 = 1 << 20;

#[test]
fn the_wal_stays_bounded_under_constant_writing_and_reading() {
    let server = Server::start();
    let wal = format!("{}-wal", server.database_path().display());
    // Rows of 6 kB, so that unbounded growth would show soon.
    let load = Load::with_long_paths(server.addr(), "wal", 16, 6000);
    let stop = AtomicBool::new(false);
    let mut largest = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let connection = db::open(server.database_path());
            while !stop.load(Ordering::Relaxed) {
                connection
                    .query_row("select sum(length(path)) from (select path from requests order by id desc limit 50)", [], |row| {
                        row.get::<_, Option<i64>>(0)
                    })
                    .expect("reading beside the writer");
            }
        });
        // More than 128 MiB of rows, twice the bound.
        eventually("enough is written", Duration::from_secs(180), || {
            largest = largest.max(fs::metadata(&wal).map_or(0, |file| file.len()));
            if largest >= 64 * MEBIBYTE {
                return true;
            }
            assert_eq!(server.get_admin("/requests?limit=1").status, 200);
            load.answered() > 22_000
        });
        stop.store(true, Ordering::Relaxed);
    });
    let exchanges = load.stop();
    assert!(
        largest < 64 * MEBIBYTE,
        "the write-ahead log grew to {largest} bytes"
    );
    assert!(exchanges.iter().all(|e| e.status() == Some(200)));
    assert_recorded(&server.db(), &exchanges);
    assert_sound(&server.db());
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A writer that looks for work now and then would show its pause in every answer.
#[test]
fn a_lone_request_is_committed_without_a_pause() {
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    let ask = |_| {
        let start = Instant::now();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().status, 200);
        start.elapsed()
    };
    let median = median((0..300).map(ask).collect());
    assert!(median < Duration::from_millis(5), "{median:?}");
}

/// Nor may it look for the lock now and then.
#[test]
fn the_next_commit_follows_the_release_of_the_lock_without_a_pause() {
    let server = Server::start();
    let ask = |_| {
        let lock = WriteLock::take(server.database_path());
        let mut client = asking(&server, "/");
        wait_until_queued(&server, 1);
        let start = Instant::now();
        drop(lock);
        assert_eq!(client.answer().status, 200);
        start.elapsed()
    };
    let median = median((0..20).map(ask).collect());
    assert!(median < Duration::from_millis(10), "{median:?}");
}

/// How often the process's threads have gone to sleep so far.
fn naps(server: &Server) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("its threads");
    let naps = |task: std::io::Result<fs::DirEntry>| {
        // A thread of the read pool may end while we look.
        let status = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse::<u64>().ok()
    };
    tasks.filter_map(naps).sum()
}

/// Asserts that the process sleeps through the next second, but for a few regular chores.
fn sleeps_soundly(server: &Server) {
    let (start, before) = (Instant::now(), naps(server));
    eventually("a second has passed", SOON, || {
        start.elapsed() >= Duration::from_secs(1)
    });
    let naps = naps(server) - before;
    assert!(naps < 60, "woken {naps} times in a second of nothing to do");
}

#[test]
fn an_idle_server_sleeps() {
    let server = Server::start();
    assert_eq!(server.get("/").status, 200);
    sleeps_soundly(&server);
}

#[test]
fn a_server_that_waits_for_the_lock_sleeps() {
    let server = Server::with(|c| {
        c.text("commit.deadline", "30s");
    });
    let lock = WriteLock::take(server.database_path());
    let mut client = asking(&server, "/");
    wait_until_queued(&server, 1);
    sleeps_soundly(&server);
    drop(lock);
    assert_eq!(client.answer().status, 200);
}
