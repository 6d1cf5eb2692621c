//! The database for a command that only reads it, beside running replicas or without any.

use std::io;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};

use super::app_schema::AppSchema;
use super::open_error::OpenError;
use super::schema::{self, DatabaseInfo};
use super::wal_file::WalFile;
use super::{location, paths};
use crate::config::{Database, Synchronous};

/// A database that this process never creates, migrates or writes.
pub(crate) struct ReadOnlyDatabase {
    connection: Connection,
    path: PathBuf,
    is_full: bool,
}

impl ReadOnlyDatabase {
    /// Opens the database of `app`. One of an older version, or of the seed, is read as if its rows had the columns that
    /// it lacks, with null.
    ///
    /// # Errors
    /// [`OpenError`], if there is no database, too.
    pub fn open(configured: &Database, app: &AppSchema) -> Result<Self, OpenError> {
        let database = location::resolve(&Database {
            create: true,
            ..configured.clone()
        })?;
        let path = &database.path;
        if !location::has_content(&database)? {
            return Err(OpenError::NothingToRead { path: path.clone() });
        }
        location::check_wal(path)?;
        let connect = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(database.busy_timeout.get())?;
            connection.pragma_update(None, "temp_store", "memory")?;
            let info = DatabaseInfo::read(&connection)?;
            Ok((connection, info))
        };
        let (connection, info) = connect().map_err(|error| OpenError::sqlite(path, error))?;
        info.check(path, app)?;
        if info.is_new() {
            return Err(OpenError::NothingToRead { path: path.clone() });
        }
        schema::add_missing_columns(&connection)
            .and_then(|()| schema::probe(&connection))
            .and_then(|()| connection.pragma_update(None, "query_only", true))
            .map_err(|error| OpenError::sqlite(path, error))?;
        Ok(Self {
            connection,
            is_full: database.synchronous == Synchronous::Full,
            path: database.path,
        })
    }

    /// Each statement must be short: a long one would keep the WAL from its reset.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The ids of the oldest and of the newest record; none if there is no record.
    pub fn ends(&self) -> Result<Option<(i64, i64)>, OpenError> {
        let sql = "select (select min(id) from requests), (select max(id) from requests)";
        let ends: rusqlite::Result<(Option<i64>, Option<i64>)> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut ends| ends.query_row([], |row| Ok((row.get(0)?, row.get(1)?))));
        match ends.map_err(|error| self.error(error))? {
            (Some(oldest), Some(newest)) => Ok(Some((oldest, newest))),
            _ => Ok(None),
        }
    }

    /// At `full`, makes what was read survive a power failure: a commit can be read before its replica has synced it.
    ///
    /// A process that may not write to the WAL cannot sync it, and shows what it has read.
    pub fn sync(&self) -> Result<(), OpenError> {
        if !self.is_full {
            return Ok(());
        }
        let synced = WalFile::open(&self.path).and_then(|wal| wal.sync());
        match synced {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) =>
            {
                Err(OpenError::path(&paths::wal(&self.path), error))
            }
            _ => Ok(()),
        }
    }

    /// An error of a later statement.
    pub fn error(&self, error: rusqlite::Error) -> OpenError {
        OpenError::sqlite(&self.path, error)
    }
}
