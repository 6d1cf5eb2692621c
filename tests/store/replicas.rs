//! Several processes on one file: in normal operation, and when one of them dies or freezes.

use std::collections::HashSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{database_path, replica, wait_until_ready, wait_until_unready};
use crate::common::client;
use crate::common::load::{Load, SentRequest, assert_recorded, assert_sound};
use crate::common::locks::{WriteLock, send_get, wait_until_queued};
use crate::common::server::Server;
use crate::common::{TIMEOUT, db, eventually, seed};

/// `commit.deadline` of the impatient replica.
const DEADLINE: Duration = Duration::from_millis(500);

fn impatient_replica(database: &Path) -> Server {
    Server::with(|c| {
        c.text("database.path", database.display())
            .text("commit.deadline", format!("{}ms", DEADLINE.as_millis()));
    })
}

#[test]
fn two_replicas_lose_nothing_and_write_nothing_twice() {
    let (_dir, path) = database_path();
    let (a, b) = (replica(&path), replica(&path));
    let loads = [
        Load::start(a.addr(), "a", 16),
        Load::start(b.addr(), "b", 16),
    ];
    for load in &loads {
        load.wait_for(1000, TIMEOUT * 3);
    }
    let requests: Vec<SentRequest> = loads.into_iter().flat_map(Load::stop).collect();
    assert!(
        requests.iter().all(|e| e.status() == Some(200)),
        "{requests:?}"
    );
    let connection = db::open(&path);
    assert_recorded(&connection, &requests);
    assert_eq!(
        usize::try_from(db::count(&connection)).expect("a count"),
        requests.len()
    );
    assert_sound(&connection);
}

#[test]
fn a_replica_killed_under_load_loses_no_record_that_had_a_response() {
    let (_dir, path) = database_path();
    let (mut a, b) = (replica(&path), replica(&path));
    let (to_a, to_b) = (
        Load::start(a.addr(), "a", 16),
        Load::start(b.addr(), "b", 16),
    );
    to_a.wait_for(500, TIMEOUT * 3);
    a.signal("KILL");
    a.wait_exit(TIMEOUT);
    let mut requests = to_a.join();
    to_b.wait_for(500, TIMEOUT);
    let of_b = to_b.stop();
    assert!(of_b.iter().all(|e| e.status() == Some(200)), "{of_b:?}");
    requests.extend(of_b);
    let connection = db::open(&path);
    assert_recorded(&connection, &requests);
    assert_sound(&connection);
}

#[test]
fn a_replica_started_again_after_a_kill_continues_the_ids() {
    let (_dir, path) = database_path();
    let mut first = replica(&path);
    let load = Load::start(first.addr(), "first", 8);
    load.wait_for(100, TIMEOUT);
    first.signal("KILL");
    first.wait_exit(TIMEOUT);
    let requests = load.join();
    let second = replica(&path);
    assert_recorded(&second.db(), &requests);
    let last: i64 = second
        .db()
        .query_row("select max(id) from requests", [], |row| row.get(0))
        .expect("the last id");
    assert_eq!(second.get("/again").record_id(), Some(last + 1));
}

/// Stops `holder`, which must be under load, at a moment when it holds the write lock: `other` then rejects a request.
/// Returns the requests with `other` meanwhile.
fn freeze_holding_the_lock(holder: &Server, other: &Server) -> Vec<SentRequest> {
    let mut requests = Vec::new();
    let mut n = 0;
    eventually(
        "a replica is stopped while it holds the lock",
        TIMEOUT * 6,
        || {
            holder.signal("STOP");
            let path = format!("/probe/{n}");
            n += 1;
            let start = Instant::now();
            let response = other.get(&path);
            requests.push(SentRequest::get(&path, &response));
            if response.status == 200 {
                holder.signal("CONT");
                return false;
            }
            let took = start.elapsed();
            assert!(
                took >= DEADLINE - Duration::from_millis(10),
                "503 after {took:?}"
            );
            assert!(
                took < DEADLINE + Duration::from_secs(4),
                "503 after {took:?}"
            );
            assert!(
                response.header("retry-after").is_some(),
                "{}",
                response.head
            );
            true
        },
    );
    requests
}

/// Sends requests until one is recorded; returns all requests.
fn ask_until_recorded(server: &Server, name: &str) -> Vec<SentRequest> {
    let mut requests = Vec::new();
    eventually("it records again", TIMEOUT, || {
        let path = format!("/{name}/{}", requests.len());
        let response = server.get(&path);
        requests.push(SentRequest::get(&path, &response));
        response.status == 200
    });
    requests
}

/// One replica freezes while it holds the lock, under load. Then it gets that signal, which ends the other's wait.
fn frozen_holder(signal: &str) {
    let (_dir, path) = database_path();
    let (mut holder, other) = (replica(&path), impatient_replica(&path));
    let load = Load::start(holder.addr(), "holder", 16);
    load.wait_for(100, TIMEOUT);
    let mut requests = freeze_holding_the_lock(&holder, &other);
    wait_until_unready(&other);
    holder.signal(signal);
    wait_until_ready(&other);
    requests.extend(ask_until_recorded(&other, "after"));
    requests.extend(match signal {
        "KILL" => {
            holder.wait_exit(TIMEOUT);
            load.join()
        }
        _ => {
            load.wait_for(100, TIMEOUT);
            load.stop()
        }
    });
    assert_recorded(&other.db(), &requests);
    assert_sound(&other.db());
}

#[test]
fn a_frozen_holder_of_the_lock_stops_the_others_until_it_goes_on() {
    frozen_holder("CONT");
}

#[test]
fn a_frozen_holder_of_the_lock_stops_the_others_until_it_is_killed() {
    frozen_holder("KILL");
}

#[test]
fn a_replica_that_dies_while_it_waits_for_the_lock_harms_nobody() {
    let (_dir, path) = database_path();
    let (mut a, b) = (replica(&path), replica(&path));
    let lock = WriteLock::take(&path);
    let mut to_a = send_get(&a, "/killed");
    wait_until_queued(&a, 1);
    let mut to_b = send_get(&b, "/alive");
    wait_until_queued(&b, 1);
    a.signal("KILL");
    a.wait_exit(TIMEOUT);
    drop(lock);
    assert_eq!(to_b.response().status, 200);
    assert_eq!(b.rows(), 1);
    assert_eq!(to_a.read_until_closed(), b"", "a response without a row");
}

/// Starts ten replicas at the same time on `path`; each records one request. Returns the ids.
fn ten_at_once(path: &Path) -> HashSet<i64> {
    let mut ids = HashSet::new();
    thread::scope(|scope| {
        let starting: Vec<_> = (0..10).map(|_| scope.spawn(|| replica(path))).collect();
        let replicas: Vec<Server> = starting
            .into_iter()
            .map(|server| server.join().expect("a replica"))
            .collect();
        for (n, replica) in replicas.iter().enumerate() {
            assert_eq!(replica.get_admin("/readyz").status, 200);
            let response = client::get(replica.addr(), &format!("/{n}"));
            assert_eq!(response.status, 200, "{}", response.head);
            let id = response.record_id().expect("its id");
            assert_eq!(replicas[0].row(id).path, format!("/{n}"));
            ids.insert(id);
        }
    });
    assert_sound(&db::open(path));
    ids
}

#[test]
fn ten_replicas_starting_at_once_on_a_new_file_all_come_up() {
    let (_dir, path) = database_path();
    assert_eq!(ten_at_once(&path), (1..=10).collect());
}

#[test]
fn ten_replicas_starting_at_once_on_the_seeds_file_all_come_up() {
    let (_dir, path) = database_path();
    seed::create_with_rows(&path);
    assert_eq!(ten_at_once(&path), (4..=13).collect());
    assert_eq!(db::count(&db::open(&path)), 13);
}

#[test]
fn a_replica_starts_though_another_process_holds_the_write_lock() {
    let (_dir, path) = database_path();
    let _first = replica(&path);
    let lock = WriteLock::take(&path);
    let second = replica(&path);
    let mut client = send_get(&second, "/waits");
    drop(lock);
    assert_eq!(client.response().status, 200);
}
