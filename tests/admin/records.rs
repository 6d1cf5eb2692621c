//! Rows for the tests of the read API, written as another process would.

use rusqlite::Connection;
use serde_json::Value;

use crate::common::server::Server;

/// In Unix seconds: 2024-10-04T00:00:00Z.
pub const DAY: f64 = 1_728_000_000.0;

/// A row to insert.
#[derive(Clone, Copy)]
pub struct NewRow {
    pub timestamp: f64,
    pub method: &'static str,
    pub path: &'static str,
    pub remote_addr: Option<&'static str>,
    pub status: Option<i64>,
}

impl Default for NewRow {
    fn default() -> Self {
        Self {
            timestamp: DAY,
            method: "GET",
            path: "/",
            remote_addr: Some("192.0.2.1"),
            status: Some(200),
        }
    }
}

pub fn insert(db: &Connection, row: NewRow) -> i64 {
    let sql = "insert into requests (timestamp, method, path, content_length, remote_addr, status, duration_us) values (?, ?, ?, 7, ?, ?, 1500)";
    let NewRow {
        timestamp,
        method,
        path,
        remote_addr,
        status,
    } = row;
    db.execute(sql, (timestamp, method, path, remote_addr, status))
        .expect("a row");
    db.last_insert_rowid()
}

/// Inserts so many rows, the first at that time, and one each second.
pub fn insert_many(db: &Connection, rows: i64, first: f64) {
    let sql = "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?)
        insert into requests (timestamp, method, path, content_length, status, duration_us)
        select ? + i, 'GET', '/' || i, 7, 200, 1500 from n";
    db.execute(sql, (rows, first)).expect("rows");
}

/// `GET /api/requests` with this query; it must succeed.
pub fn list(server: &Server, query: &str) -> Value {
    get(server, &format!("/api/requests?{query}"))
}

/// A successful GET on the admin listener.
pub fn get(server: &Server, path: &str) -> Value {
    let response = server.get_admin(path);
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    response.json()
}

/// The ids on a page.
pub fn ids(page: &Value) -> Vec<i64> {
    let requests = page["requests"].as_array().expect("a list");
    let id = |request: &Value| request["id"].as_i64().expect("an id");
    requests.iter().map(id).collect()
}
