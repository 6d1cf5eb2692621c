//! The estimate of the table's size, against a count of all its pages.

use rusqlite::Connection;

use crate::retention::size::above;

const SCHEMA: &str = "create table requests (id integer primary key autoincrement, timestamp real not null, method text not null,
    path text not null, content_length integer not null, remote_addr text, status integer, duration_us integer)";

/// 300,000 rows; `path` is an SQL expression with the row's number `i`.
fn table(id: &str, path: &str) -> Connection {
    let db = Connection::open_in_memory().expect("a database in memory");
    db.execute_batch(&format!(
        "{SCHEMA};
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000)
         insert into requests
         select {id}, 1.7e9 + i * 0.1, 'GET', {path}, 0, '10.1.2.' || (i % 256), 200, 50 + i % 5000 from n"
    ))
    .expect("rows");
    db
}

fn measured(db: &Connection) -> f64 {
    let sql = "select sum(pgsize) from dbstat where name in (select name from sqlite_schema where tbl_name = 'requests')";
    let bytes: i64 = db.query_row(sql, [], |row| row.get(0)).expect("a count");
    bytes as f64
}

fn assert_is_close(db: &Connection, what: &str) {
    // Something else takes more, so that the pages that the file uses say little.
    let other = "create table if not exists other (data blob); insert into other values (zeroblob(100000000))";
    db.execute_batch(other).expect("a large table");
    let size = above(db, 0).expect("an estimate").expect("a size");
    let (bytes, measured) = (size.bytes as f64, measured(db));
    let error = bytes / measured - 1.0;
    assert!(
        error.abs() < 0.04,
        "{what}: {bytes} of {measured}: {error:+.3}"
    );
}

#[test]
fn the_estimate_is_within_four_percent() {
    let usual = "'/some/path/' || (i * 7919 % 100000)";
    assert_is_close(&table("i", usual), "usual rows");
    assert_is_close(&table("i * 7", usual), "gaps everywhere");
    assert_is_close(&table("i + 20000000 * (i > 150000)", usual), "a large gap");
    let growing = "'/' || substr(hex(zeroblob(200)), 1, i / 1000)";
    assert_is_close(&table("i", growing), "growing rows");
    let long = "iif(i % 10 = 0, hex(zeroblob(4000)), '/short')";
    assert_is_close(&table("i", long), "some long rows");

    let indexed = table("i", usual);
    let index =
        "create index by_time on requests (timestamp); create index by_path on requests (path)";
    indexed.execute_batch(index).expect("indexes");
    assert_is_close(&indexed, "indexes");
    indexed
        .execute_batch("delete from requests where id < 200000")
        .expect("a deletion");
    assert_is_close(&indexed, "a third is left");
}

#[test]
fn a_file_within_the_bound_is_not_measured() {
    let db = table("i", "'/'");
    let pages = measured(&db) as u64;
    assert_eq!(above(&db, pages + 100_000).expect("an estimate"), None);
    assert!(above(&db, pages - 100_000).expect("an estimate").is_some());
    db.execute_batch("delete from requests")
        .expect("a deletion");
    assert_eq!(above(&db, 100_000).expect("an estimate"), None);
    assert_eq!(above(&db, 0).expect("an estimate"), None);
}
