//! The job `daybook-minutes`.

use std::time::Duration;

use serde_json::Value;

use super::records::{DAY, get, insert_many};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

/// Requests that the table has.
fn in_minutes(server: &Server) -> i64 {
    let sql = "select coalesce(sum(requests), 0) from daybook_minutes";
    server
        .db()
        .query_row(sql, [], |row| row.get(0))
        .expect("a sum")
}

/// The job first runs after a minute.
const FIRST_RUN: Duration = Duration::from_secs(90);

#[test]
fn one_of_two_replicas_adds_each_request_once_and_deleted_ones_still_count() {
    let server = Server::start();
    let other = Server::with(|c| {
        c.text("replica", "other");
        c.text("database.path", server.database_path().display());
    });
    insert_many(&server.db(), 50_000, DAY);
    eventually("the job adds all rows", FIRST_RUN, || {
        in_minutes(&server) == 50_000
    });
    insert_many(&server.db(), 100, DAY);
    let stats = |server: &Server| get(server, "/api/stats?since=1728000000&until=1728086400&top=0");
    let before = stats(&server);
    assert_eq!(before["total"]["requests"], 50_100);
    assert_eq!(stats(&other), before);

    server
        .db()
        .execute("delete from requests where id <= 40000", [])
        .expect("a deletion");
    assert_eq!(stats(&server), before);
    // Due at once, as if a minute had passed.
    let sql = "update daybook_jobs set started_at = 1 where name = 'daybook-minutes' and ended_at is not null";
    eventually("the job has ended", TIMEOUT, || {
        server.db().execute(sql, []).expect("an update") == 1
    });
    eventually("the job adds the new rows", TIMEOUT * 2, || {
        in_minutes(&server) == 50_100
    });
    assert_eq!(stats(&other), before);
    let jobs = &get(&other, "/api/state")["jobs"];
    assert_eq!(jobs[0]["name"], "daybook-minutes");
    assert_eq!(jobs[0]["error"], Value::Null);
    assert!(
        jobs[0]["started_at"].is_string() && jobs[0]["succeeded_at"].is_string(),
        "{jobs}"
    );
}
