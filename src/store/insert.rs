//! Rows into an open transaction: many in one statement, or one alone in a savepoint.

use std::fmt::Write as _;

use rusqlite::{Connection, ErrorCode};

use super::queue::Entry;
use super::{Outcome, Record, Rejected};
use crate::telemetry::log_storm;

/// Most rows in one statement. A batch is cut into powers of two, so that few statements have to be prepared.
const ROWS_MAX: usize = 128;

/// Inserts records; holds the text of each statement.
pub(super) struct Inserter {
    /// `statements[k]` inserts 2^k rows.
    statements: Vec<String>,
}

impl Inserter {
    pub fn new() -> Self {
        let statements = (0..=ROWS_MAX.ilog2()).map(|k| insert_sql(1 << k)).collect();
        Self { statements }
    }

    /// Inserts a batch in its order; one outcome an entry. An entry that fails by its own fault gets an outcome
    /// for itself.
    ///
    /// # Errors
    /// What no single record can cause: the caller has to roll back and answer for all of the batch.
    pub fn insert(
        &self,
        connection: &mut Connection,
        batch: &mut [Entry],
    ) -> rusqlite::Result<Vec<Outcome>> {
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
            let inserted = if plain == 0 {
                None
            } else {
                match self.insert_rows(connection, chunk) {
                    Ok(first) => Some(first),
                    // The statement undid itself, the transaction stands.
                    Err(error) if one_record_can_cause(&error) && !connection.is_autocommit() => {
                        None
                    }
                    Err(error) => return Err(error),
                }
            };
            match inserted {
                Some(first) => {
                    outcomes.extend((first..).take(rows).map(|id| Outcome::Committed(Some(id))));
                }
                None => {
                    for entry in chunk {
                        outcomes.push(self.insert_alone(connection, entry)?);
                    }
                }
            }
            rest = tail;
        }
        Ok(outcomes)
    }

    /// Inserts the records of `chunk` (a power of two of them) in one statement; returns the id of the first.
    fn insert_rows(&self, connection: &Connection, chunk: &[Entry]) -> rusqlite::Result<i64> {
        let mut statement =
            connection.prepare_cached(&self.statements[chunk.len().ilog2() as usize])?;
        let mut parameter = 0;
        for record in chunk.iter().filter_map(|entry| entry.record.as_ref()) {
            bind(&mut statement, &mut parameter, record)?;
        }
        statement.raw_execute()?;
        // Within one statement AUTOINCREMENT gives ids without a gap, whoever else writes.
        Ok(connection.last_insert_rowid() - chunk.len() as i64 + 1)
    }

    /// One entry in a savepoint of its own: its record, then the application's writes; both or neither.
    fn insert_alone(
        &self,
        connection: &mut Connection,
        entry: &mut Entry,
    ) -> rusqlite::Result<Outcome> {
        let mut savepoint = connection.savepoint()?;
        let mut id = None;
        let mut inserted = Ok(());
        if let Some(record) = &entry.record {
            inserted = insert_one(&savepoint, &self.statements[0], record);
            id = Some(savepoint.last_insert_rowid());
        }
        let keep = match inserted {
            Ok(()) => entry.work.take().is_none_or(|work| work(&savepoint)),
            Err(error) if one_record_can_cause(&error) && !savepoint.is_autocommit() => {
                log_storm("a record was not written", &error);
                savepoint.rollback()?;
                savepoint.commit()?;
                return Ok(Outcome::Rejected(Rejected::Storage));
            }
            Err(error) => return Err(error),
        };
        if keep {
            savepoint.commit()?;
            Ok(Outcome::Committed(id))
        } else {
            savepoint.rollback()?;
            savepoint.commit()?;
            Ok(Outcome::Undone)
        }
    }
}

fn insert_one(connection: &Connection, sql: &str, record: &Record) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, &mut 0, record)?;
    statement.raw_execute().map(drop)
}

fn bind(
    statement: &mut rusqlite::Statement<'_>,
    parameter: &mut usize,
    record: &Record,
) -> rusqlite::Result<()> {
    let remote_addr = record.remote_addr.map(|address| address.to_string());
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

fn insert_sql(rows: usize) -> String {
    let mut sql = String::from(
        "insert into requests (timestamp, method, path, content_length, remote_addr) values ",
    );
    for row in 0..rows {
        let _ = write!(sql, "{}(?, ?, ?, ?, ?)", if row == 0 { "" } else { ", " });
    }
    sql
}

/// Whether an error can be the fault of one record, so that the others deserve a try without it.
fn one_record_can_cause(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}
