//! Programs that write the same file and do not use daybook's lock.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{database_path, replica};
use crate::common::client::send;
use crate::common::load::{Load, Outcome, assert_sound};
use crate::common::locks::{WriteTransaction, queue_gets};
use crate::common::server::{Server, fails_to_start};
use crate::common::{TIMEOUT, db, eventually, seed};
use tempfile::TempDir;

#[test]
fn a_foreign_writer_of_two_seconds_only_delays_responses() {
    let server = Server::start();
    let transaction = WriteTransaction::begin(server.database_path());
    let start = Instant::now();
    let mut clients = queue_gets(&server, 5);
    eventually("two seconds have passed in silence", TIMEOUT, || {
        assert!(
            clients.iter_mut().all(|client| client.is_silent()),
            "a response before its commit"
        );
        start.elapsed() >= Duration::from_secs(2)
    });
    assert_eq!(
        server.get_admin("/readyz").status,
        200,
        "within its deadline it is ready"
    );
    transaction
        .execute_batch(
            "insert into requests (timestamp, method, path, content_length) values (1, 'GET', '/foreign', 0); commit",
        )
        .expect("the foreign row");
    let connection = server.db();
    for (n, client) in clients.iter_mut().enumerate() {
        let response = client.response();
        assert_eq!(response.status, 200, "{}", response.head);
        let row = db::row(&connection, response.record_id().expect("its id")).expect("its row");
        assert_eq!(row.path, format!("/{n}"));
    }
    assert_eq!(db::count(&connection), 6);
}

#[test]
fn the_seeds_application_writes_beside_a_daybook_under_load() {
    let server = Server::start();
    let load = Load::start(server.addr(), "daybook", 8);
    let connection = seed::connect(server.database_path());
    let mut foreign = Vec::new();
    eventually("both have written", TIMEOUT * 3, || {
        // Fails the test if it waits longer than its own busy timeout of 10 s.
        foreign.push(seed::record(
            &connection,
            &format!("/seed/{}", foreign.len()),
        ));
        foreign.len() >= 50 && load.responses() >= 1000
    });
    let requests = load.stop();

    for (n, id) in foreign.iter().enumerate() {
        let row = db::row(&connection, *id).expect("the row of the seed's application");
        assert_eq!((row.path, row.timestamp), (format!("/seed/{n}"), 1.5e9));
    }
    for request in &requests {
        let Outcome::Responded {
            status: 200,
            record_id: Some(id),
        } = request.outcome
        else {
            panic!("{request:?}");
        };
        assert_eq!(
            db::row(&connection, id).expect("its row").path,
            request.path
        );
    }
    let all = i64::try_from(foreign.len() + requests.len()).expect("a count");
    assert_eq!(db::count(&connection), all);
    assert_sound(&connection);
}

#[test]
fn the_seeds_application_may_start_and_stop_beside_daybook() {
    let server = Server::start();
    for n in 0..5 {
        // Its start, one request, and its end.
        drop(seed::create(server.database_path()));
        let connection = seed::connect(server.database_path());
        assert_eq!(seed::record(&connection, "/seed"), 2 * n + 1);
        drop(connection);
        assert_eq!(server.get("/daybook").record_id(), Some(2 * n + 2));
    }
}

/// Starts daybook on a file that another program writes for a second.
fn is_waited_for(path: &Path) {
    let transaction = WriteTransaction::begin(path);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let start = Instant::now();
        let is_over = &is_over;
        scope.spawn(move || {
            eventually("a second has passed", TIMEOUT, || {
                start.elapsed() >= Duration::from_secs(1)
            });
            is_over.store(true, Ordering::Relaxed);
            drop(transaction);
        });
        let server = replica(path);
        assert!(
            is_over.load(Ordering::Relaxed),
            "it adopted a file while another program wrote it"
        );
        assert_eq!(server.get("/").record_id(), Some(4));
    });
}

#[test]
fn a_writer_that_holds_the_file_while_daybook_starts_is_waited_for() {
    let (_dir, path) = database_path();
    seed::create_with_rows(&path);
    is_waited_for(&path);
}

/// The seed's file before its application's first request: with a rollback journal.
fn without_a_wal() -> (TempDir, PathBuf) {
    let (dir, path) = database_path();
    seed::create_with_rows(&path);
    db::open(&path)
        .execute_batch("pragma journal_mode=delete")
        .expect("another journal mode");
    (dir, path)
}

#[test]
fn a_writer_with_a_rollback_journal_is_waited_for_too() {
    let (_dir, path) = without_a_wal();
    is_waited_for(&path);
}

#[test]
fn a_start_waits_for_other_writers_no_longer_than_the_busy_timeout() {
    let (_dir, path) = without_a_wal();
    let _transaction = WriteTransaction::begin(&path);
    let failure = fails_to_start(|c| {
        c.text("database.path", path.display())
            .text("database.busy_timeout", "300ms");
    });
    assert_eq!(failure.code, Some(1), "{}", failure.stderr);
    for word in ["requests.db", "another program", "database.busy_timeout"] {
        assert!(failure.stderr.contains(word), "{}", failure.stderr);
    }
}

#[test]
fn a_current_database_with_a_rollback_journal_is_set_to_wal_again() {
    let (_dir, path) = database_path();
    let mut first = replica(&path);
    assert_eq!(first.get("/").record_id(), Some(1));
    first.signal("TERM");
    assert_eq!(first.wait_exit(TIMEOUT).code(), Some(0));
    let journal_mode = |sql: &str| -> String {
        let connection = db::open(&path);
        let mode = connection.query_row(sql, [], |row| row.get(0));
        mode.expect("the journal mode")
    };
    assert_eq!(journal_mode("pragma journal_mode=delete"), "delete");
    let second = replica(&path);
    assert_eq!(second.get("/").record_id(), Some(2));
    assert_eq!(journal_mode("pragma journal_mode"), "wal");
}

#[test]
fn ids_of_rows_that_another_program_deleted_do_not_recur() {
    let server = Server::start();
    let ask = || send(server.addr(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n").record_id();
    assert_eq!((ask(), ask()), (Some(1), Some(2)));
    server
        .db()
        .execute_batch("delete from requests")
        .expect("deleting");
    assert_eq!(ask(), Some(3));
    assert_eq!(server.rows(), 1);
}
