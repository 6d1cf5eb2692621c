//! By age, by size, and by both.

use super::{BYTES_MAX, DAY, Database, deleted};
use crate::common::{TIMEOUT, eventually};

#[test]
fn records_older_than_the_age_are_deleted_and_counted() {
    let database = Database::new();
    database.add(3000, 91.0 * DAY);
    database.add(10, 89.0 * DAY);
    let server = database.serve(&[("age", "'90d'")]);
    eventually("the old ones are gone", TIMEOUT, || database.rows() == 10);
    eventually("they are counted", TIMEOUT, || deleted(&server) == 3000.0);
    eventually("the oldest record is shown", TIMEOUT, || {
        let name = "daybook_retention_oldest_record_timestamp_seconds";
        let page = server.get_admin("/metrics").text().to_owned();
        if !page.lines().any(|line| line.starts_with(name)) {
            return false;
        }
        let oldest = server.metric(name, &[]);
        let expected = database.number("select unixepoch()") as f64 - 89.0 * DAY;
        (oldest - expected).abs() < 300.0
    });
}

#[test]
fn the_oldest_records_beyond_the_size_are_deleted_and_their_pages_used_again() {
    let database = Database::new();
    database.add(50_000, 2.0 * DAY);
    let pages = database.file_pages();
    let server = database.serve(&[("bytes_max", "1048576")]);
    eventually("the table is small enough", TIMEOUT, || {
        database.table_bytes() <= BYTES_MAX
    });
    database.wait_for_run();
    let bytes = database.table_bytes();
    assert!(bytes > BYTES_MAX * 9 / 10, "no more than needed: {bytes}");
    let newest = database.number("select max(id) from requests");
    assert_eq!(newest, 50_000, "the newest stay");
    let lowest = database.number("select min(id) from requests");
    assert_eq!(database.rows(), 50_001 - lowest, "without a gap");
    assert_eq!(deleted(&server) as i64, lowest - 1);

    database.add(20_000, DAY);
    let after = database.file_pages();
    assert!(after <= pages + 10, "{pages} pages were enough: {after}");
}

#[test]
fn a_percentage_is_of_the_file_system() {
    let database = Database::new();
    database.add(1000, 2.0 * DAY);
    let server = database.serve(&[("bytes_max", "'1%'"), ("age", "'100d'")]);
    database.wait_for_run();
    assert_eq!(deleted(&server), 0.0);
}

#[test]
fn with_both_bounds_the_stricter_one_decides() {
    let database = Database::new();
    database.add(1000, 40.0 * DAY);
    database.add(50_000, 20.0 * DAY);
    database.add(1000, 10.0 * DAY);
    let by_size = database.serve(&[("age", "'30d'"), ("bytes_max", "1048576")]);
    eventually("the table is small enough", TIMEOUT, || {
        database.table_bytes() <= BYTES_MAX
    });
    drop(by_size);
    database.forget_last_run();
    let rows = database.rows();
    assert!(rows > 1000, "{rows}");
    let _by_age = database.serve(&[("age", "'15d'"), ("bytes_max", "1048576")]);
    eventually("the old ones are gone", TIMEOUT, || database.rows() == 1000);
}
