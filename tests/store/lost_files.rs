//! The log, the index or the lock file of a database, removed or replaced under running replicas.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::client::Client;
use crate::common::in_process::InProcessServer;
use crate::common::load::{Load, assert_recorded, assert_sound};
use crate::common::locks::{WriteLock, lock_file, send_get, wait_until_queued, waits_for_a_lock};
use crate::common::server::Server;
use crate::common::{TIMEOUT, db, eventually};
use axum::Router;
use axum::routing::get;
use daybook::store::RequestStore;
use rusqlite::Connection;
use tempfile::TempDir;

fn beside(database: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", database.display()).into()
}

fn replica(database: &Path) -> Server {
    Server::with(|c| {
        c.text("database.path", database.display());
    })
}

/// Two replicas on one database, in a directory that outlives them.
fn two_replicas() -> (TempDir, PathBuf, [Server; 2]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("shared.db");
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

/// What is done to a file, and what the log says of it.
const CHANGES: [Change; 2] = [(remove, "was removed"), (replace, "was replaced")];
type Change = (fn(&Path), &'static str);

fn says(server: &Server, path: &Path, what: &str) {
    let words = format!("{} {what}", path.display());
    assert!(server.log().contains(&words), "{}", server.log());
}

#[test]
fn a_log_or_an_index_that_is_removed_or_replaced_ends_each_replica_at_its_next_request() {
    for suffix in ["-wal", "-shm"] {
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
fn what_was_answered_before_its_log_was_removed_is_not_lost() {
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
fn a_log_that_is_removed_while_a_request_is_written_takes_its_response_along() {
    async fn removes_the_log(store: RequestStore) -> &'static str {
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
            Router::new().route("/", get(removes_the_log)),
            &[("DATABASE__SYNCHRONOUS", synchronous)],
        );
        let mut client = Client::connect(&server.listen);
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(client.next_response("GET").is_none());
        let error = server.wait_for_error().to_string();
        assert!(error.contains("-wal was removed"), "{error}");
    }
}

#[test]
fn a_stop_removes_no_file_that_is_not_its_own() {
    let mut server = Server::start();
    assert_eq!(server.get("/").status, 200);
    let log = beside(server.database_path(), "-wal");
    replace(&log);
    let other = fs::read(&log).expect("the other log");
    server.signal("TERM");
    assert_eq!(server.wait_exit(TIMEOUT).code(), Some(1));
    says(&server, &log, "was replaced");
    assert!(fs::read(&log).expect("the other log") == other);
}

#[test]
fn what_others_may_do_with_a_database_ends_nobody() {
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
        // Is refused, as long as others have it open.
        "pragma busy_timeout = 1; pragma journal_mode = delete",
    ] {
        // And closes its connection, which is not the last one.
        let _ = Connection::open(path).expect("opening").execute_batch(sql);
        is_recorded(sql);
    }
    // A replica that comes and goes.
    let mut other = replica(path);
    other.signal("TERM");
    assert!(other.wait_exit(TIMEOUT).success());
    is_recorded("another replica's end");
}

#[test]
fn a_lock_file_that_was_removed_is_made_again_and_shared() {
    let (_dir, path, [first, second]) = two_replicas();
    assert_eq!(first.get("/1").status, 200);
    remove(&lock_file(&path));
    let third = replica(&path);
    // Which of its locks a replica takes, one sees where somebody else has the file that is there now.
    for server in [&first, &second, &third] {
        eventually("it takes the lock that is there", TIMEOUT, || {
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
