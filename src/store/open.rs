//! Opening: what is looked at before anything is touched, what is created, and who waits for whom.

use std::fmt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::lock::{self, WriteLock};
use super::log_file::{self, LogFile};
use super::schema::{self, Found};
use super::{OpenError, path};
use crate::config::{Database, Synchronous};

/// The first SQLite without the WAL-reset bug, which corrupts a database when two processes write and checkpoint
/// at the same instant (sqlite.org, release notes of 3.51.3).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Between two tries at the journal mode.
const JOURNAL_MODE_RETRY: Duration = Duration::from_millis(20);

/// What opening has done to the file. Its `Display` is what `daybook init` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// There was none.
    Created,
    /// It was the seed's, or an older version's.
    Migrated,
    /// It was ready.
    Nothing,
}

impl fmt::Display for Done {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Created => "created",
            Self::Migrated => "brought to this version's schema",
            Self::Nothing => "already at this version's schema",
        })
    }
}

/// The version of the SQLite that is linked.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Creates the database, or brings it to this program's schema (`daybook init`).
///
/// # Errors
/// [`OpenError`].
pub fn init(database: &Database) -> Result<Done, OpenError> {
    open(database).map(|ready| ready.done)
}

/// A database that is ready for its writer.
pub(super) struct Ready {
    /// The writer's connection.
    pub connection: Connection,
    /// The writer's lock.
    pub lock: WriteLock,
    /// With the path resolved.
    pub database: Database,
    /// What was done for it.
    pub done: Done,
}

/// Opens, creates or migrates the database. Only a file that is not ready yet needs the write lock: many replicas
/// start at once, and setting `journal_mode` together gets them SQLITE_BUSY whatever the time-out; but one that
/// starts beside a replica that is stuck in a commit should not wait for it.
pub(super) fn open(configured: &Database) -> Result<Ready, OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::SqliteTooOld {
            found: rusqlite::version(),
        });
    }
    let database = path::resolve(configured)?;
    path::check_file_system(&database.path)?;
    let has_content = path::has_content(&database)?;
    path::check_log(&database.path)?;
    // SQLite itself opens for reading alone, without a word, what may not be written.
    if let Some((path, source)) = path::refusal(&database.path) {
        return Err(OpenError::Path { path, source });
    }
    // Before the lock: beside another program's database there is to be no file of ours.
    let looked = has_content.then(|| look(&database)).transpose()?;
    let mut lock = open_lock(&database)?;
    let (mut connection, done) = match &looked {
        Some((_, found)) if found.is_current() && found.is_wal => {
            (connect(&database)?, Done::Nothing)
        }
        _ => {
            drop(looked);
            prepare(&database, &mut lock)?
        }
    };
    schema::probe(&connection).map_err(|error| OpenError::sqlite(&database.path, error))?;
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    Ok(Ready {
        connection,
        lock,
        database,
        done,
    })
}

/// The write lock, for one thread.
pub(super) fn open_lock(database: &Database) -> Result<WriteLock, OpenError> {
    WriteLock::open(&database.path).map_err(|source| OpenError::Path {
        path: lock::path(&database.path),
        source,
    })
}

/// From now on it is the caller who syncs what this connection commits.
pub(super) fn hand_over_sync(
    connection: &Connection,
    database: &Database,
) -> Result<LogFile, OpenError> {
    let path = &database.path;
    connection
        .pragma_update(None, "synchronous", Synchronous::Normal.as_str())
        .map_err(|error| OpenError::sqlite(path, error))?;
    LogFile::open(path).map_err(|source| OpenError::Path {
        path: log_file::path(path),
        source,
    })
}

/// Another connection to a database that [`open`] has made ready.
pub(super) fn connect(database: &Database) -> Result<Connection, OpenError> {
    connect_with(database, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn connect_with(database: &Database, flags: OpenFlags) -> Result<Connection, OpenError> {
    let connect = || {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&database.path, flags)?;
        connection.busy_timeout(database.busy_timeout.get())?;
        connection.pragma_update(None, "synchronous", database.synchronous.as_str())?;
        connection.pragma_update(None, "temp_store", "memory")?;
        Ok(connection)
    };
    connect().map_err(|error| OpenError::sqlite(&database.path, error))
}

/// Reads what a file says of itself and checks it, without leaving a trace. The connection is to be kept until the
/// next one is open, which else had to read a long log once more.
fn look(database: &Database) -> Result<(Connection, Found), OpenError> {
    // A connection that may write moves what is in a log into the database when it is the last to close: that is for
    // the owner to do. Where there is no log, reading makes an empty one, and only such a connection takes it away.
    let flags = if log_file::path(&database.path).exists() {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let connection = connect_with(database, flags)?;
    let found = read(&connection, database)?;
    Ok((connection, found))
}

fn read(connection: &Connection, database: &Database) -> Result<Found, OpenError> {
    let path = &database.path;
    let found = Found::read(connection).map_err(|error| OpenError::sqlite(path, error))?;
    found.check(path)?;
    Ok(found)
}

/// Creates the file, or brings it to our schema, alone.
fn prepare(database: &Database, lock: &mut WriteLock) -> Result<(Connection, Done), OpenError> {
    let path = &database.path;
    let _held = lock
        .acquire_telling(|| tell_of_waiting(path))
        .map_err(|source| OpenError::Path {
            path: lock::path(path),
            source,
        })?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    if database.create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let mut connection = connect_with(database, flags)?;
    // Once more: another replica may have been first.
    let found = read(&connection, database)?;
    if !found.is_wal {
        set_journal_mode(&connection, database)?;
    }
    found
        .migrate(&mut connection)
        .map_err(|error| OpenError::sqlite(path, error))?;
    let done = if found.is_new() {
        Done::Created
    } else if found.is_current() {
        Done::Nothing
    } else {
        Done::Migrated
    };
    Ok((connection, done))
}

/// SQLite does not call its busy handler here, so this sleeps and tries again, as long as that would. (The only
/// place that does: nobody is served yet, and a program that knows nothing of our lock cannot be waited for in the
/// kernel.)
fn set_journal_mode(connection: &Connection, database: &Database) -> Result<(), OpenError> {
    let deadline = Instant::now() + database.busy_timeout.get();
    loop {
        let mode: rusqlite::Result<String> =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0));
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(OpenError::NotWal {
                    path: database.path.clone(),
                    mode,
                });
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                sleep(JOURNAL_MODE_RETRY);
            }
            Err(error) => return Err(OpenError::sqlite(&database.path, error)),
        }
    }
}

/// For the log: another process may hold the lock for long.
fn tell_of_waiting(path: &Path) {
    match lock::holder(path) {
        Some(pid) => tracing::info!(pid, "waiting for the write lock that another process holds"),
        None => tracing::info!("waiting for the write lock"),
    }
}
