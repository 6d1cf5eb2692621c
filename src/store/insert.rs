//! Rows into an open transaction: many in one statement, or one alone in a savepoint.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rusqlite::{Connection, ErrorCode};

use super::queue::Entry;
use super::{Outcome, Record, Rejected};
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

/// Why a transaction is of no use any more.
#[derive(Debug)]
pub(super) enum InsertError {
    /// What no single record can cause. Nothing of the transaction may be kept.
    Sqlite(rusqlite::Error),
    /// Not a row for each record: a trigger, or a conflict clause, has left some out, or has kept some of a statement that
    /// failed. Which, one learns one by one.
    RowsMissing,
    /// The application's work has committed by itself: what of the batch is on disk, nobody can know.
    CommittedByWork,
    /// While the application's work ran, the transaction was rolled back: by SQLite, for a full disk or an I/O error, or by
    /// the work itself.
    RolledBackInWork,
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
                false // Go on.
            }))
            .expect("rusqlite has opened this connection");
        Self {
            statements: (0..=ROWS_MAX.ilog2()).map(|k| insert_sql(1 << k)).collect(),
            commits,
        }
    }

    /// Inserts a batch in its order, many rows at a time; one outcome an entry. Where a statement fails by the fault of
    /// one record, its records are inserted one by one.
    ///
    /// # Errors
    /// The caller has to roll back.
    pub fn insert(
        &self,
        connection: &mut Connection,
        batch: &mut [Entry],
    ) -> Result<Vec<Outcome>, InsertError> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut rest = batch;
        while !rest.is_empty() {
            let plain = rest
                .iter()
                .take(ROWS_MAX)
                .take_while(|entry| entry.work.is_none())
                .count();
            // The largest power of two that is not more than `plain`; an entry with work of its own goes alone.
            let rows = if plain == 0 { 1 } else { 1 << plain.ilog2() };
            let (chunk, tail) = rest.split_at_mut(rows);
            if plain == 0 {
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
                        // The transaction stands. The statement has undone itself, unless it failed by `fail`.
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

    /// Inserts entries one by one, each in a savepoint: its record, then the application's work; both or neither.
    ///
    /// # Errors
    /// The caller has to roll back.
    pub fn insert_alone(
        &self,
        connection: &mut Connection,
        entries: &mut [Entry],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), InsertError> {
        for entry in entries {
            let mut savepoint = connection.savepoint()?;
            let outcome = match self.insert_record(&savepoint, entry) {
                Ok(id) => match entry.work.take() {
                    None => Outcome::Committed(id),
                    Some(work) => {
                        entry.work_has_run = true;
                        let commits = self.commits.load(Relaxed);
                        let keep = work(&savepoint);
                        if self.commits.load(Relaxed) != commits {
                            return Err(InsertError::CommittedByWork);
                        }
                        if savepoint.is_autocommit() {
                            return Err(InsertError::RolledBackInWork);
                        }
                        if keep {
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

    /// The record of one entry; returns its id, if there is one.
    fn insert_record(
        &self,
        connection: &Connection,
        entry: &Entry,
    ) -> Result<Option<i64>, InsertError> {
        if entry.record.is_none() {
            return Ok(None);
        }
        self.insert_rows(connection, std::slice::from_ref(entry))
            .map(Some)
    }

    /// The records of `chunk` (a power of two of them) in one statement; returns the id of the first.
    fn insert_rows(&self, connection: &Connection, chunk: &[Entry]) -> Result<i64, InsertError> {
        let sql = &self.statements[chunk.len().ilog2() as usize];
        let mut statement = connection.prepare_cached(sql)?;
        let mut parameter = 0;
        for record in chunk.iter().filter_map(|entry| entry.record.as_ref()) {
            bind(&mut statement, &mut parameter, record)?;
        }
        if statement.raw_execute()? != chunk.len() {
            return Err(InsertError::RowsMissing);
        }
        // Within one statement AUTOINCREMENT gives ids without a gap, whoever else writes.
        Ok(connection.last_insert_rowid() - chunk.len() as i64 + 1)
    }
}

fn bind(
    statement: &mut rusqlite::Statement<'_>,
    parameter: &mut usize,
    record: &Record,
) -> rusqlite::Result<()> {
    let remote_addr = record.remote_addr.map(address_text);
    let mut next = || {
        *parameter += 1;
        *parameter
    };
    statement.raw_bind_parameter(next(), record.timestamp)?;
    statement.raw_bind_parameter(next(), record.method.as_str())?;
    statement.raw_bind_parameter(next(), record.path.as_str())?;
    statement.raw_bind_parameter(next(), record.content_length as i64)?;
    statement.raw_bind_parameter(next(), remote_addr)
}

/// As the standard library writes it; without its formatting, which took an eighth of the writer's instructions.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    let mut digits = itoa::Buffer::new();
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(digits.format(octet));
    }
    text
}

fn insert_sql(rows: usize) -> String {
    let mut sql = String::from(
        "insert into requests (timestamp, method, path, content_length, remote_addr) values ",
    );
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}(?, ?, ?, ?, ?)");
    }
    sql
}

/// Whether an error can be the fault of one record (or of a trigger or an index that fails on it), so that the others
/// deserve a try without it.
pub(super) fn one_record_can_cause(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::Unknown
        )
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_written_as_the_standard_library_writes_it(address: IpAddr) {
            prop_assert_eq!(address_text(address), address.to_string());
        }
    }
}
