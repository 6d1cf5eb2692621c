//! A handler's reads.

mod connections;
mod snapshots;
mod timeouts;

use axum::routing::{MethodRouter, get};
use daybook::RequestStore;
use daybook::testing::Server;
use rusqlite::Connection;

use crate::common::{TIMEOUT, eventually};

fn count(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("select count(*) from notes", [], |row| row.get(0))
}

/// A handler that reads with `read` and responds with its result, or with the error's text.
fn reads<T: ToString + Send + 'static>(
    read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Clone + Send + Sync + 'static,
) -> MethodRouter {
    get(
        async move |store: RequestStore| match store.read(read).await {
            Ok(value) => value.to_string(),
            Err(error) => format!("error: {error}"),
        },
    )
}

/// Whether no read holds an old snapshot: only then can the log be emptied.
fn assert_the_log_can_be_reset(server: &Server) {
    let sql = "pragma wal_checkpoint(truncate)";
    let is_busy = server.database().query_row(sql, [], |row| row.get(0));
    assert_eq!(is_busy, Ok(0), "a read still holds the log");
}

/// On a loaded machine even a short read can miss a short `database.read_timeout`.
fn wait_until_a_read_works(server: &Server) {
    eventually("a read works", TIMEOUT, || {
        server.get("/count").text() == "0"
    });
}
