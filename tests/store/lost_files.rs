//! The database, its WAL, its WAL-index or the lock file, removed or replaced under running replicas.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{beside, database_path, replica};
use crate::common::client::Client;
use crate::common::in_process::InProcessServer;
use crate::common::load::{Load, assert_recorded, assert_sound};
use crate::common::locks::{WriteLock, lock_file, send_get, wait_until_queued, waits_for_a_lock};
use crate::common::server::Server;
use crate::common::{TIMEOUT, db, eventually};
use axum::Router;
use axum::routing::get;
use daybook::RequestStore;
use rusqlite::Connection;
use tempfile::TempDir;

/// Two replicas on one database, in a directory that outlives them.
fn two_replicas() -> (TempDir, PathBuf, [Server; 2]) {
    let (dir, path) = database_path();
    let replicas = [replica(&path), replica(&path)];
    (dir, path, replicas)
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("removing");
}

/// As `cp` and `mv` do.
fn replace(path: &Path) {
    let copy = path.with_file_name("copy");
    fs::copy(path, &copy).expect("copying");
    fs::rename(&copy, path).expect("replacing");
}

/// A change of a file, and the words for it in the error.
const CHANGES: [Change; 2] = [(remove, "was removed"), (replace, "was replaced")];
type Change = (fn(&Path), &'static str);

fn says(server: &Server, path: &Path, what: &str) {
    let words = format!("{} {what}", path.display());
    assert!(server.log().contains(&words), "{}", server.log());
}

#[test]
fn a_database_file_that_is_removed_or_replaced_ends_each_replica_at_its_next_request() {
    for suffix in ["", "-wal", "-shm"] {
        for (change, what) in CHANGES {
            let (_dir, path, replicas) = two_replicas();
            for server in &replicas {
                assert_eq!(server.get("/before").status, 200);
            }
            let file = beside(&path, suffix);
            change(&file);
            for mut server in replicas {
                let mut client = send_get(&server, "/lost");
                assert!(client.next_response("GET").is_none(), "{suffix} {what}");
                assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
                says(&server, &file, what);
            }
        }
    }
}

#[test]
fn records_with_a_response_survive_the_removal_of_the_wal() {
    let (_dir, path, mut replicas) = two_replicas();
    let loads = [
        Load::start(replicas[0].addr(), "a", 8),
        Load::start(replicas[1].addr(), "b", 8),
    ];
    for load in &loads {
        load.wait_for(500, TIMEOUT);
    }
    remove(&beside(&path, "-wal"));
    let requests: Vec<_> = loads.into_iter().flat_map(Load::join).collect();
    for server in &mut replicas {
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
    }
    let connection = db::open(&path);
    assert_recorded(&connection, &requests);
    assert_sound(&connection);
}

#[test]
fn the_log_says_whether_the_commits_of_a_removed_wal_were_saved() {
    for (is_read, words) in [
        (false, "all its commits were saved into the database"),
        (true, "some commits are lost"),
    ] {
        let mut server = Server::start();
        assert_eq!(server.get("/1").status, 200);
        let reader = server.db();
        if is_read {
            // A checkpoint stops at what the reader sees.
            reader.execute_batch("begin").expect("beginning");
            let rows = reader.query_row("select count(*) from requests", [], |row| row.get(0));
            assert_eq!(rows, Ok(1));
        }
        assert_eq!(server.get("/2").status, 200);
        remove(&beside(server.database_path(), "-wal"));
        assert!(send_get(&server, "/lost").next_response("GET").is_none());
        assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
        assert!(server.log().contains(words), "{}", server.log());
    }
}

#[test]
fn a_request_gets_no_response_if_the_wal_is_removed_while_it_is_written() {
    async fn removes_the_wal(store: RequestStore) -> &'static str {
        let removed = store
            .write(|tx| {
                let path = tx.path().expect("a database in a file");
                fs::remove_file(beside(Path::new(path), "-wal"))
            })
            .await;
        removed.map_or("not removed", |()| "removed")
    }
    for synchronous in ["full", "normal"] {
        let server = InProcessServer::start(
            Router::new().route("/", get(removes_the_wal)),
            &[("database.synchronous", synchronous)],
        );
        let mut client = Client::connect(&server.listen);
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(client.next_response("GET").is_none());
        let error = server.stop_uncleanly();
        assert!(error.contains("-wal was removed"), "{error}");
    }
}

#[test]
fn a_stop_does_not_remove_a_wal_that_was_replaced() {
    let mut server = Server::start();
    assert_eq!(server.get("/").status, 200);
    let wal = beside(server.database_path(), "-wal");
    replace(&wal);
    let other = fs::read(&wal).expect("the other WAL");
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
    says(&server, &wal, "was replaced");
    assert!(fs::read(&wal).expect("the other WAL") == other);
}

#[test]
fn legitimate_use_by_other_programs_ends_no_replica() {
    let server = Server::start();
    let path = server.database_path();
    let mut n = 0;
    let mut is_recorded = |after: &str| {
        n += 1;
        assert_eq!(server.get("/").record_id(), Some(n), "after {after}");
    };
    is_recorded("its start");
    for sql in [
        "pragma wal_checkpoint(passive)",
        "pragma wal_checkpoint(restart)",
        "pragma wal_checkpoint(truncate)",
        "vacuum",
        "create table other (text); drop table other",
        // SQLite refuses this while another connection is open.
        "pragma busy_timeout = 1; pragma journal_mode = delete",
    ] {
        // Its connection is closed again, and is not the last one.
        let _ = Connection::open(path).expect("opening").execute_batch(sql);
        is_recorded(sql);
    }
    // A replica that starts and stops.
    let mut other = replica(path);
    other.signal("TERM");
    assert!(other.wait_exit(TIMEOUT).success());
    is_recorded("another replica's end");
}

#[test]
fn a_lock_file_that_was_removed_is_created_again_and_shared() {
    let (_dir, path, [first, second]) = two_replicas();
    assert_eq!(first.get("/1").status, 200);
    // The check, once a second, goes on after a process's first second.
    let begun = Instant::now();
    eventually("the replicas are older than a second", TIMEOUT, || {
        begun.elapsed() > Duration::from_secs(1)
    });
    remove(&lock_file(&path));
    let third = replica(&path);
    // While the test holds the new lock file, a replica that uses it waits; one that uses the old file does not.
    for server in [&first, &second, &third] {
        eventually("it takes the new lock", TIMEOUT, || {
            let held = WriteLock::take(&path);
            let mut client = send_get(server, "/looks");
            let waits = eventually("it waits or responds", TIMEOUT, || {
                let waits = waits_for_a_lock(server.pid());
                (waits || !client.is_silent()).then_some(waits)
            });
            drop(held);
            assert_eq!(client.response().status, 200);
            waits
        });
    }
    let held = WriteLock::take(&path);
    let mut clients = [&first, &second, &third].map(|server| {
        let client = send_get(server, "/waits");
        wait_until_queued(server, 1);
        client
    });
    assert!(clients.iter_mut().all(|client| client.is_silent()));
    drop(held);
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
}
