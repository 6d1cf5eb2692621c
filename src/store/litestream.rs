//! Keeps Litestream's backup complete when Litestream was away for a while.
//!
//! Litestream 0.5.17 continues where it stopped if the last frame that it copied is still in the WAL (`verifyWithExecutor` in
//! its `db.go`). After a reset of the WAL that frame may be a leftover behind fewer new frames. Commits between the two are
//! then missing from the backup, and Litestream reports no error. So the WAL is cut at each reset: Litestream finds it too
//! short, and makes a snapshot.

use std::time::{Duration, Instant};

use rusqlite::Connection;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Whether Litestream copies this database. It creates its own table in each database that it copies.
pub(super) struct LitestreamCheck {
    next_check: Instant,
    is_used: bool,
}

impl LitestreamCheck {
    pub fn new() -> Self {
        Self {
            next_check: Instant::now(),
            is_used: false,
        }
    }

    /// Looks for Litestream's table once a second until it is there. Not called within a transaction. Without Litestream the
    /// WAL keeps its length, because commits that extend the file are slower.
    pub fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let now = Instant::now();
        if self.is_used || now < self.next_check {
            return Ok(());
        }
        self.next_check = now + CHECK_INTERVAL;
        self.is_used = cut_wal_if_copied(connection)?;
        Ok(())
    }
}

/// If Litestream's table is there, makes this connection's first commit after a reset cut the WAL; returns whether it is.
pub(super) fn cut_wal_if_copied(connection: &Connection) -> rusqlite::Result<bool> {
    let is_copied = connection
        .prepare_cached("select 1 from sqlite_schema where name = '_litestream_seq'")?
        .exists([])?;
    if is_copied {
        connection.pragma_update(None, "journal_size_limit", 0)?;
    }
    Ok(is_copied)
}
