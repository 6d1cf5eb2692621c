//! Reads the database file as any other process would.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

/// One row of the table `requests`.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub id: i64,
    /// Unix seconds.
    pub timestamp: f64,
    pub method: String,
    pub path: String,
    /// Bytes of body that the server read.
    pub content_length: i64,
    pub remote_addr: Option<String>,
    /// None in a row of the seed, and as long as the request runs.
    pub status: Option<u16>,
    pub duration_us: Option<i64>,
}

/// Opens the file for reading and writing, with a busy timeout of 5 s.
pub fn open(path: &Path) -> Connection {
    let connection =
        Connection::open(path).unwrap_or_else(|e| panic!("opening {}: {e}", path.display()));
    connection
        .busy_timeout(Duration::from_secs(5))
        .expect("setting the busy timeout");
    connection
}

pub fn count(connection: &Connection) -> i64 {
    connection
        .query_row("select count(*) from requests", [], |row| row.get(0))
        .expect("counting the rows")
}

pub fn row(connection: &Connection, id: i64) -> Option<Row> {
    let sql = "select id, timestamp, method, path, content_length, remote_addr, status, duration_us from requests where id = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row {
            id: row.get(0)?,
            timestamp: row.get(1)?,
            method: row.get(2)?,
            path: row.get(3)?,
            content_length: row.get(4)?,
            remote_addr: row.get(5)?,
            status: row.get(6)?,
            duration_us: row.get(7)?,
        })
    };
    connection
        .query_row(sql, [id], read)
        .optional()
        .expect("reading a row")
}

/// Adds that many records, in one transaction, as another program would. Their paths begin with `/added/` and are as long as
/// `path_bytes`, if that is longer.
pub fn add_rows(connection: &Connection, n: u32, path_bytes: usize) {
    let filler = "x".repeat(path_bytes);
    let sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
        insert into requests (timestamp, method, path, content_length, remote_addr, status, duration_us)
        select 1.7e9 + i, 'GET', '/added/' || i || ?2, i, '192.0.2.1', 200 + i % 4 * 100, i from n";
    connection
        .execute(sql, (n, filler))
        .expect("adding records");
}
