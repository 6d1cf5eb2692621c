//! What retention leaves alone.

use super::{BYTES_MAX, DAY, Database, HOUR, deleted};
use crate::common::{TIMEOUT, eventually};

#[test]
fn it_is_off_by_default() {
    let database = Database::new();
    database.add(100, 3650.0 * DAY);
    let server = database.serve(&[]);
    assert_eq!(server.get("/").status, 200);
    let jobs = "select count(*) from sqlite_schema where name = 'daybook_jobs'";
    if database.number(jobs) == 1 {
        let job = "select count(*) from daybook_jobs where name = 'daybook-retention'";
        assert_eq!(database.number(job), 0);
    }
    assert_eq!(deleted(&server), 0.0);
    assert_eq!(database.rows(), 101);
}

#[test]
fn a_protected_record_stays_even_if_the_table_is_too_large_and_the_job_fails() {
    let database = Database::new();
    database.add(1000, 3.0 * HOUR);
    database.add(50_000, 1.9 * HOUR);
    let server = database.serve(&[("bytes_max", "1048576"), ("protect", "'2h'")]);
    eventually("the job has failed", TIMEOUT, || {
        let job = [("job", "daybook-retention")];
        server.metric("daybook_job_failures_total", &job) == 1.0
    });
    assert_eq!(database.rows(), 50_000);
    assert!(database.table_bytes() > BYTES_MAX);
    assert_eq!(deleted(&server), 1000.0);
    let log = server.log();
    for words in ["`retention.bytes_max`, 1048576", "`retention.protect`, 2h"] {
        assert!(log.contains(words), "{log}");
    }
}

#[test]
fn an_odd_timestamp_counts_as_the_next_valid_one() {
    let database = Database::new();
    // More than one look reads.
    database.add_with(3000, "'yesterday'");
    database.add(1, 91.0 * DAY);
    database.add_with(10, "unixepoch() + 1e6");
    database.add(10, 91.0 * DAY);
    database.add_with(5, "x'00'");
    database.add(5, 1.0 * DAY);
    database.add(5, 91.0 * DAY);
    let _server = database.serve(&[("age", "'90d'")]);
    let left = 15;
    eventually("the old ones are gone", TIMEOUT, || database.rows() == left);
    let lowest = database.number("select min(id) from requests");
    assert_eq!(lowest, 3022);
}

#[test]
fn an_application_s_table_keeps_the_ids_of_deleted_records() {
    let database = Database::new();
    database.add(100, 91.0 * DAY);
    let notes = "create table notes (record_id integer not null, text text);
        insert into notes select id, 'a note' from requests";
    database.db.execute_batch(notes).expect("a table");
    let _server = database.serve(&[("age", "'90d'")]);
    eventually("the records are gone", TIMEOUT, || database.rows() == 0);
    let notes = database.number("select count(*) from notes where record_id between 1 and 100");
    assert_eq!(notes, 100);
}

#[test]
fn ids_go_on_even_if_every_record_is_deleted() {
    let database = Database::new();
    database.add(5000, 91.0 * DAY);
    let server = database.serve(&[("age", "'90d'")]);
    eventually("all are gone", TIMEOUT, || database.rows() == 0);
    assert_eq!(server.get("/").record_id(), Some(5001));
    drop(server);
    let server = database.serve(&[("age", "'90d'")]);
    assert_eq!(server.get("/").record_id(), Some(5002));
}

#[test]
fn a_reader_of_an_old_page_finds_it_empty() {
    let database = Database::new();
    database.add(1000, 91.0 * DAY);
    database.add(10, 1.0 * DAY);
    // It sees the database as it was, for as long as it likes.
    database.db.execute_batch("begin").expect("a transaction");
    assert_eq!(database.rows(), 1010);
    let server = database.serve(&[("age", "'90d'")]);
    eventually("the old ones are gone", TIMEOUT, || {
        deleted(&server) == 1000.0
    });
    assert_eq!(database.rows(), 1010);
    let page = server.get_admin("/requests?before=500");
    assert_eq!((page.status, page.text().contains("\"id\"")), (200, false));
    assert_eq!(server.get_admin("/requests/5").status, 404);
    assert_eq!(server.get_admin("/requests/1005").status, 200);
}
