//! A database in memory for this folder's tests.

use rusqlite::Connection;

use super::filter::Filter;
use super::time::Time;

/// With the table `requests` as it is now.
pub(super) fn database() -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    for sql in [
        include_str!("../store/schema.sql"),
        include_str!("../store/schema_2.sql"),
    ] {
        connection.execute_batch(sql).expect("the schema");
    }
    connection
}

/// A row with this id and timestamp.
pub(super) fn insert(connection: &Connection, id: i64, timestamp: f64) {
    let sql = "insert into requests (id, timestamp, method, path, content_length) values (?, ?, 'GET', '/', 0)";
    connection.execute(sql, (id, timestamp)).expect("a row");
}

pub(super) fn filter(parameters: &[(&str, &str)]) -> Filter {
    Filter::parse(parameters.iter().copied(), Time::now()).expect("good parameters")
}
