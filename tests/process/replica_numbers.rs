//! Replicas with one configuration, whose listeners have a `*` for the replica's number.

use std::fs::File;
use std::path::Path;
use std::thread;

use crate::common::TIMEOUT;
use crate::common::client;
use crate::common::server::{Server, fails_to_start};

/// A replica whose sockets are in `directory`.
fn start_numbered(directory: &Path) -> Server {
    Server::with(|c| {
        let path = directory.display();
        c.text("listen", format!("unix:{path}/*.sock"))
            .text("admin.listen", format!("unix:{path}/*.admin.sock"))
            .text("database.path", directory.join("requests.db").display())
            .text("replica", "*");
    })
}

/// Asserts the replica's name in its metrics.
fn assert_number(replica: &Server, number: u32) {
    let response = replica.get_admin("/metrics");
    let metrics = response.text();
    let line = format!("daybook_ready{{replica=\"{number}\"}} 1");
    assert!(metrics.lines().any(|it| it == line), "{metrics}");
}

#[test]
fn replicas_that_start_together_get_different_numbers() {
    let directory = tempfile::tempdir().expect("a directory");
    let replicas: Vec<Server> = thread::scope(|scope| {
        let starting: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| start_numbered(directory.path())))
            .collect();
        let started = starting.into_iter().map(|server| server.join());
        started.map(|server| server.expect("a replica")).collect()
    });
    for number in 1..=8 {
        let path = directory.path().display();
        let socket = format!("unix:{path}/{number}.sock");
        let admin = format!("unix:{path}/{number}.admin.sock");
        let replica = replicas
            .iter()
            .find(|it| it.addr() == socket)
            .expect("its number");
        assert_eq!(replica.admin(), admin);
        assert_eq!(client::get(&socket, "/numbered").status, 200);
        assert_number(replica, number);
        let log = replica.log();
        let name = format!("\"replica\":\"{number}\"");
        assert!(log.lines().all(|line| line.contains(&name)), "{log}");
    }
}

#[test]
fn the_number_of_an_ended_replica_is_used_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let (first, mut second, third) = (
        start_numbered(directory.path()),
        start_numbered(directory.path()),
        start_numbered(directory.path()),
    );
    second.signal("KILL");
    second.wait_exit(TIMEOUT);
    let next = start_numbered(directory.path());
    for (replica, number) in [(&first, 1), (&next, 2), (&third, 3)] {
        assert_number(replica, number);
        assert_eq!(replica.get("/").status, 200);
    }
}

#[test]
fn a_frozen_replica_keeps_its_number() {
    let directory = tempfile::tempdir().expect("a directory");
    let frozen = start_numbered(directory.path());
    frozen.signal("STOP");
    assert_number(&start_numbered(directory.path()), 2);
    frozen.signal("CONT");
    assert_number(&frozen, 1);
}

#[test]
fn an_error_of_the_lock_file_names_its_path() {
    let failure = fails_to_start(|c| {
        c.text("listen", "unix:/nowhere/*.sock");
    });
    assert_eq!(failure.code, Some(1), "{}", failure.stderr);
    for word in ["/nowhere/1.sock.lock", "No such file", "number"] {
        assert!(failure.stderr.contains(word), "{}", failure.stderr);
    }
}

#[test]
fn a_replica_without_a_free_number_fails_to_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let _taken: Vec<File> = (1..=99)
        .map(|number| {
            let lock = directory.path().join(format!("{number}.sock.lock"));
            let lock = File::create(lock).expect("a lock");
            lock.lock().expect("locking");
            lock
        })
        .collect();
    let failure = fails_to_start(|c| {
        let path = directory.path().display();
        c.text("listen", format!("unix:{path}/*.sock"));
    });
    assert_eq!(failure.code, Some(1), "{}", failure.stderr);
    let message = "other replicas use all numbers up to 99";
    assert!(failure.stderr.contains(message), "{}", failure.stderr);
}
