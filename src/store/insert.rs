//! Inserts a batch into an open transaction: up to 128 records in one statement, or one entry in a savepoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rusqlite::Connection;

use super::outcome::Outcome;
use super::queue::QueueEntry;
use super::record::insert_sql;
use super::sqlite_errors::one_record_can_cause;
use crate::rejected::Rejected;
use crate::telemetry::log_rate_limited;

/// Most rows in one statement. A batch is cut into powers of two, so that few statements have to be prepared.
const ROWS_MAX: usize = 128;

/// Inserts records; holds the text of each statement.
pub(super) struct Inserter {
    /// `statements[k]` inserts 2^k rows.
    statements: Vec<String>,
    /// How often the connection has begun to commit.
    commits: Arc<AtomicU64>,
}

/// Why a transaction cannot go on.
#[derive(Debug)]
pub(super) enum InsertError {
    /// An error that no single record can cause. The whole transaction must be rolled back.
    Sqlite(rusqlite::Error),
    /// Not every record got a row: a trigger or a conflict clause has left some out, or has kept some rows of a
    /// statement that failed. Insert the rows one at a time to find the one that fails.
    RowsMissing,
    /// A handler's write has committed: it is unknown what of the batch is on disk.
    CommittedByWrite,
    /// The transaction was rolled back during a handler's write: by SQLite, for a full disk or an I/O error, or by the
    /// write itself.
    RolledBackInWrite,
}

impl From<rusqlite::Error> for InsertError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Inserter {
    /// For this connection.
    pub fn new(connection: &Connection) -> Self {
        let commits = Arc::new(AtomicU64::new(0));
        let seen = commits.clone();
        connection
            .commit_hook(Some(move || {
                seen.fetch_add(1, Relaxed);
                false // Let the commit go on.
            }))
            .expect("rusqlite opened this connection");
        Self {
            statements: (0..=ROWS_MAX.ilog2()).map(|k| insert_sql(1 << k)).collect(),
            commits,
        }
    }

    /// Inserts a batch in order, many rows at a time, with one outcome for each entry. If one record can have made a
    /// statement fail, its records are inserted one at a time.
    ///
    /// # Errors
    /// The caller has to roll back.
    pub fn insert(
        &self,
        connection: &mut Connection,
        entries: &mut [QueueEntry],
    ) -> Result<Vec<Outcome>, InsertError> {
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while !rest.is_empty() {
            let without_write_fn = rest
                .iter()
                .take(ROWS_MAX)
                .take_while(|entry| entry.write_fn.is_none())
                .count();
            // The largest power of two up to that number. An entry with a handler's write goes alone.
            let rows = match without_write_fn {
                0 => 1,
                entries => 1 << entries.ilog2(),
            };
            let (chunk, tail) = rest.split_at_mut(rows);
            if without_write_fn == 0 {
                self.insert_alone(connection, chunk, &mut outcomes)?;
            } else {
                let changes = connection.total_changes();
                match self.insert_rows(connection, chunk) {
                    Ok(first) => {
                        let ids = (first..).take(rows);
                        outcomes.extend(ids.map(|id| Outcome::Committed(Some(id))));
                    }
                    Err(InsertError::Sqlite(error))
                        if one_record_can_cause(&error) && !connection.is_autocommit() =>
                    {
                        // The transaction is still open. The failed statement has left no row, unless a trigger made it
                        // fail with `raise(fail)`.
                        if connection.total_changes() != changes {
                            return Err(InsertError::RowsMissing);
                        }
                        self.insert_alone(connection, chunk, &mut outcomes)?;
                    }
                    Err(error) => return Err(error),
                }
            }
            rest = tail;
        }
        Ok(outcomes)
    }

    /// Inserts entries one at a time, each in a savepoint: its record, then the handler's write; both or neither.
    ///
    /// # Errors
    /// The caller has to roll back.
    pub fn insert_alone(
        &self,
        connection: &mut Connection,
        entries: &mut [QueueEntry],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), InsertError> {
        for entry in entries {
            let mut savepoint = connection.savepoint()?;
            let outcome = match self.insert_record(&savepoint, entry) {
                Ok(id) => match entry.write_fn.take() {
                    None => Outcome::Committed(id),
                    Some(write_fn) => {
                        entry.write_fn_has_run = true;
                        let commits = self.commits.load(Relaxed);
                        let has_succeeded = write_fn(&savepoint, id);
                        if self.commits.load(Relaxed) != commits {
                            return Err(InsertError::CommittedByWrite);
                        }
                        if savepoint.is_autocommit() {
                            return Err(InsertError::RolledBackInWrite);
                        }
                        if has_succeeded {
                            Outcome::Committed(id)
                        } else {
                            Outcome::Undone
                        }
                    }
                },
                Err(InsertError::RowsMissing) => {
                    log_rate_limited("a record was not written", &"a trigger has left it out");
                    Outcome::Rejected(Rejected::Storage)
                }
                Err(InsertError::Sqlite(error))
                    if one_record_can_cause(&error) && !savepoint.is_autocommit() =>
                {
                    log_rate_limited("a record was not written", &error);
                    Outcome::Rejected(Rejected::Storage)
                }
                Err(error) => return Err(error),
            };
            if !matches!(outcome, Outcome::Committed(_)) {
                savepoint.rollback()?;
            }
            savepoint.commit()?;
            outcomes.push(outcome);
        }
        Ok(())
    }

    /// Inserts the record of one entry, if it has one; returns its id.
    fn insert_record(
        &self,
        connection: &Connection,
        entry: &QueueEntry,
    ) -> Result<Option<i64>, InsertError> {
        if entry.record.is_none() {
            return Ok(None);
        }
        self.insert_rows(connection, std::slice::from_ref(entry))
            .map(Some)
    }

    /// Inserts the records of `chunk` (a power of two of them) with one statement; returns the id of the first.
    fn insert_rows(
        &self,
        connection: &Connection,
        chunk: &[QueueEntry],
    ) -> Result<i64, InsertError> {
        let sql = &self.statements[chunk.len().ilog2() as usize];
        let mut statement = connection.prepare_cached(sql)?;
        let records = chunk.iter().filter_map(|entry| entry.record.as_ref());
        for (row, record) in records.enumerate() {
            record.bind(&mut statement, row)?;
        }
        if statement.raw_execute()? != chunk.len() {
            return Err(InsertError::RowsMissing);
        }
        // Within one statement AUTOINCREMENT gives ids without a gap, whatever other processes write.
        Ok(connection.last_insert_rowid() - chunk.len() as i64 + 1)
    }
}
