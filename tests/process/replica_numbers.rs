//! Replicas that are all started alike, with a `*` where each one's number goes.

use std::fs::File;
use std::path::Path;
use std::thread;

use crate::common::TIMEOUT;
use crate::common::client;
use crate::common::server::{Server, fails_to_start};

/// One of the replicas whose sockets are in `directory`.
fn numbered(directory: &Path) -> Server {
    Server::with(|c| {
        let path = directory.display();
        c.text("listen", format!("unix:{path}/*.sock"))
            .text("admin.listen", format!("unix:{path}/*.admin.sock"))
            .text("database.path", directory.join("requests.db").display())
            .text("replica", "*");
    })
}

/// What a replica is called in its metrics.
fn is_called(replica: &Server, number: u32) {
    let response = replica.get_admin("/metrics");
    let metrics = response.text();
    let line = format!("daybook_ready{{replica=\"{number}\"}} 1");
    assert!(metrics.lines().any(|it| it == line), "{metrics}");
}

#[test]
fn replicas_that_start_at_once_each_have_a_number_of_their_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let replicas: Vec<Server> = thread::scope(|scope| {
        let starting: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| numbered(directory.path())))
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
        is_called(replica, number);
        let log = replica.log();
        let name = format!("\"replica\":\"{number}\"");
        assert!(log.lines().all(|line| line.contains(&name)), "{log}");
    }
}

#[test]
fn the_number_of_a_replica_that_is_gone_goes_to_the_next_that_starts() {
    let directory = tempfile::tempdir().expect("a directory");
    let (first, mut second, third) = (
        numbered(directory.path()),
        numbered(directory.path()),
        numbered(directory.path()),
    );
    second.signal("KILL");
    second.wait_exit(TIMEOUT);
    let next = numbered(directory.path());
    for (replica, number) in [(&first, 1), (&next, 2), (&third, 3)] {
        is_called(replica, number);
        assert_eq!(replica.get("/").status, 200);
    }
}

#[test]
fn a_replica_that_is_frozen_keeps_its_number() {
    let directory = tempfile::tempdir().expect("a directory");
    let frozen = numbered(directory.path());
    frozen.signal("STOP");
    is_called(&numbered(directory.path()), 2);
    frozen.signal("CONT");
    is_called(&frozen, 1);
}

#[test]
fn where_no_number_can_be_taken_the_error_says_where() {
    let failure = fails_to_start(|c| {
        c.text("listen", "unix:/nowhere/*.sock");
    });
    assert_eq!(failure.code, Some(1), "{}", failure.stderr);
    for word in ["/nowhere/1.sock.lock", "No such file", "number"] {
        assert!(failure.stderr.contains(word), "{}", failure.stderr);
    }
}

#[test]
fn where_all_numbers_are_taken_the_error_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let _taken: Vec<File> = (1..=99)
        .map(|number| {
            let lock = directory.path().join(format!("{number}.sock.lock"));
            let lock = File::create(lock).expect("a lock");
            lock.lock().expect("nobody has it");
            lock
        })
        .collect();
    let failure = fails_to_start(|c| {
        let path = directory.path().display();
        c.text("listen", format!("unix:{path}/*.sock"));
    });
    assert_eq!(failure.code, Some(1), "{}", failure.stderr);
    let message = "other processes have all numbers up to 99";
    assert!(failure.stderr.contains(message), "{}", failure.stderr);
}
