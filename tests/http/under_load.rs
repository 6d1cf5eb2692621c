//! Properties under full load and while idle: the size of the write-ahead log, exclusive writes, wake-ups.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::client::Client;
use crate::common::load::{Load, assert_recorded, assert_sound};
use crate::common::locks::{WriteLock, send_get, threads, wait_until_queued};
use crate::common::server::Server;
use crate::common::{TIMEOUT, db, eventually};
use rusqlite::Connection;

const MEBIBYTE: u64 = 1 << 20;

/// A short read that is repeated without a pause, as a page of the read API or a shell does.
const LAST_FIFTY: &str = "select coalesce(sum(length(path)), 0) from (select path from requests order by id desc limit 50)";

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes rows of 6 kB from many connections, more than `wal_bytes_max` in total, and asserts that the write-ahead log
/// stays below it. Repeats `read` meanwhile.
fn assert_wal_bounded(wal_bytes_max: u64, read: Option<fn(&Connection)>) {
    // A loaded machine may need longer than the default for a page of the admin listener.
    let server = Server::with(|c| {
        c.text("database.read_timeout", "30s");
    });
    let wal = format!("{}-wal", server.database_path().display());
    let load = Load::with_long_paths(server.addr(), "wal", 16, 6000);
    let enough = wal_bytes_max / 6000;
    let is_over = AtomicBool::new(false);
    let mut largest = 0;
    thread::scope(|scope| {
        // Stop the reader also after a failed assertion: the scope waits for it.
        let _over = SetOnDrop(&is_over);
        if let Some(read) = read {
            let (path, is_over) = (server.database_path(), &is_over);
            scope.spawn(move || {
                let connection = db::open(path);
                while !is_over.load(Ordering::Relaxed) {
                    read(&connection);
                }
            });
        }
        eventually("enough is written", Duration::from_secs(180), || {
            largest = largest.max(fs::metadata(&wal).expect("the write-ahead log").len());
            assert_eq!(server.get_admin("/requests?limit=1").status, 200);
            largest >= wal_bytes_max || load.responses() > enough
        });
    });
    let requests = load.stop();
    assert!(
        largest < wal_bytes_max,
        "the write-ahead log grew to {largest} bytes"
    );
    assert!(requests.iter().all(|e| e.status() == Some(200)));
    assert_recorded(&server.db(), &requests);
    assert_sound(&server.db());
}

#[test]
fn the_wal_stays_bounded_under_constant_writing() {
    // Below the 10,000 pages at which the writer's backstop would reset the log.
    assert_wal_bounded(38 * MEBIBYTE, None);
}

#[test]
fn the_wal_stays_bounded_under_constant_writing_and_reading() {
    let read = |connection: &Connection| {
        let bytes = connection.query_row(LAST_FIFTY, [], |row| row.get::<_, i64>(0));
        bytes.map(drop).expect("reading beside the writer");
    };
    assert_wal_bounded(64 * MEBIBYTE, Some(read));
}

/// daybook holds the lock file during every transaction and every checkpoint that blocks writers. A process with the lock
/// file never meets another writer.
#[test]
fn the_holder_of_the_lock_file_is_the_only_writer() {
    let server = Server::start();
    // With rows of 6 kB the log soon needs a checkpoint under the lock.
    let load = Load::with_long_paths(server.addr(), "lock", 16, 6000);
    let connection = server.db();
    connection
        .busy_timeout(Duration::ZERO)
        .expect("no busy timeout");
    while load.responses() < 4000 {
        let _lock = WriteLock::take(server.database_path());
        connection
            .execute_batch("begin immediate; rollback")
            .expect("beginning, with the lock file locked");
    }
    let requests = load.stop();
    assert_recorded(&connection, &requests);
}

/// The number of voluntary context switches of the process's threads, or of those with that name.
fn sleeps(server: &Server, name: Option<&str>) -> u64 {
    let sleeps = |status: &String| -> u64 {
        let sleeps = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sleeps
            .expect("voluntary_ctxt_switches")
            .trim()
            .parse()
            .expect("a number")
    };
    let mut threads = threads(server.pid(), "status");
    if let Some(name) = name {
        threads.retain(|status| status.starts_with(&format!("Name:\t{name}\n")));
    }
    assert!(!threads.is_empty(), "no thread of the name {name:?}");
    threads.iter().map(sleeps).sum()
}

/// Asserts that the process wakes up only a few times in a second.
fn assert_sleeps(server: &Server) {
    let (start, before) = (Instant::now(), sleeps(server, None));
    eventually("a second has passed", TIMEOUT, || {
        start.elapsed() >= Duration::from_secs(1)
    });
    let sleeps = sleeps(server, None) - before;
    assert!(
        sleeps < 60,
        "woken {sleeps} times in a second of nothing to do"
    );
}

#[test]
fn an_idle_server_sleeps() {
    let server = Server::start();
    assert_eq!(server.get("/").status, 200);
    assert_sleeps(&server);
}

#[test]
fn a_server_that_waits_for_the_lock_sleeps() {
    let server = Server::with(|c| {
        c.text("commit.deadline", "30s");
    });
    let lock = WriteLock::take(server.database_path());
    let mut client = send_get(&server, "/");
    wait_until_queued(&server, 1);
    assert_sleeps(&server);
    drop(lock);
    assert_eq!(client.response().status, 200);
}

/// A writer that paused to let a batch grow, or that polled, would sleep more than once a request.
#[test]
fn a_lone_request_is_committed_without_a_pause() {
    const REQUESTS: u64 = 300;
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    let before = sleeps(&server, Some("writer"));
    for _ in 0..REQUESTS {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    let sleeps = sleeps(&server, Some("writer")) - before;
    assert!(sleeps > 0, "it sleeps between two requests");
    assert!(
        sleeps < REQUESTS * 3 / 2,
        "{sleeps} sleeps for {REQUESTS} requests"
    );
}

#[test]
fn every_thread_has_the_batch_policy() {
    let server = Server::start();
    // A thread sets its name when it starts to run.
    assert_eq!(server.get("/").status, 200);
    let mut policies = Vec::new();
    for stat in threads(server.pid(), "stat") {
        // `policy` is the 39th field after the name in parentheses: see proc(5).
        let (before, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let (_, name) = before.split_once('(').expect("a name in parentheses");
        let policy = fields.split_whitespace().nth(38).expect("the policy");
        policies.push((name.to_owned(), policy.to_owned()));
    }
    assert!(policies.iter().any(|(name, _)| name == "writer"));
    for (name, policy) in policies {
        assert_eq!(policy, "3", "{name} is to run under SCHED_BATCH");
    }
}
