//! Opens the database: checks it before it changes anything, and creates or migrates it.

use std::fmt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::app_schema::AppSchema;
use super::lock::{self, WriteLock};
use super::migrate::{self, Step};
use super::open_error::OpenError;
use super::schema::{self, DatabaseInfo};
use super::wal_file::WalFile;
use super::{filesystem, litestream, location, paths};
use crate::config::{Database, Synchronous};

/// The first SQLite without the WAL-reset bug, which corrupts a database when two processes write and checkpoint at the
/// same instant (sqlite.org, release notes of 3.51.3).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Between two attempts to set the journal mode.
const JOURNAL_MODE_RETRY: Duration = Duration::from_millis(20);

/// The work that [`open`] had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitOutcome {
    /// There was no database.
    Created,
    /// It was the seed's, or an older version's.
    Migrated,
    /// It was already at this version's schema.
    Unchanged,
}

impl fmt::Display for InitOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Created => "created",
            Self::Migrated => "migrated to this version's schema",
            Self::Unchanged => "already at this version's schema",
        })
    }
}

/// Creates the database, or migrates it to this program's schema (`daybook init`). Returns the migrations that ran.
///
/// # Errors
/// [`OpenError`], if all migrations together take longer than `time_max`, too.
pub(crate) fn init(
    database: &Database,
    app: &AppSchema,
    time_max: Option<Duration>,
) -> Result<(InitOutcome, Vec<Step>), OpenError> {
    open(database, app, time_max).map(|opened| (opened.outcome, opened.steps))
}

/// A database that is ready for its writer.
pub(super) struct OpenedDatabase {
    /// The writer's connection.
    pub connection: Connection,
    /// The writer's lock.
    pub lock: WriteLock,
    /// The configuration, with the path resolved.
    pub database: Database,
    pub outcome: InitOutcome,
    /// The migrations that ran.
    pub steps: Vec<Step>,
}

/// Opens, creates or migrates the database. It takes the write lock only to create or migrate: replicas that start
/// together and set `journal_mode` at once get SQLITE_BUSY, whatever the timeout. A replica that starts on a current file
/// does not wait for one that is stuck in a commit.
///
/// A file that does not fit `app` is refused. The migrations may take `time_max`.
pub(super) fn open(
    configured: &Database,
    app: &AppSchema,
    time_max: Option<Duration>,
) -> Result<OpenedDatabase, OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::SqliteTooOld {
            found: rusqlite::version(),
        });
    }
    let database = location::resolve(configured)?;
    location::check_file_system(&database.path)?;
    let has_content = location::has_content(&database)?;
    location::check_wal(&database.path)?;
    // SQLite itself silently opens read-only what may not be written.
    if let Some((path, source)) = filesystem::access_denied(&database.path) {
        return Err(OpenError::Path { path, source });
    }
    // Before the lock file is created: none may appear beside another program's database.
    let inspected = has_content.then(|| inspect(&database, app)).transpose()?;
    if inspected.as_ref().is_none_or(|(_, info)| info.is_new()) {
        migrate::rehearse(&database.path, app, time_max)?;
    }
    let mut lock = open_lock(&database)?;
    let (mut connection, outcome, steps) = match &inspected {
        Some((_, info)) if info.is_current(app) && info.is_wal => {
            (connect(&database)?, InitOutcome::Unchanged, Vec::new())
        }
        _ => {
            drop(inspected);
            create_or_migrate(&database, &mut lock, app, time_max)?
        }
    };
    schema::probe(&connection).map_err(|error| OpenError::sqlite(&database.path, error))?;
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    Ok(OpenedDatabase {
        connection,
        lock,
        database,
        outcome,
        steps,
    })
}

/// The write lock, for one thread.
pub(super) fn open_lock(database: &Database) -> Result<WriteLock, OpenError> {
    WriteLock::open(&database.path).map_err(|source| OpenError::lock(&database.path, source))
}

/// Turns off SQLite's own sync of this connection's commits: the caller must sync them with the [`WalFile`].
pub(super) fn take_over_sync(
    connection: &Connection,
    database: &Database,
) -> Result<WalFile, OpenError> {
    let path = &database.path;
    connection
        .pragma_update(None, "synchronous", Synchronous::Normal.as_str())
        .map_err(|error| OpenError::sqlite(path, error))?;
    open_wal(database)
}

pub(super) fn open_wal(database: &Database) -> Result<WalFile, OpenError> {
    let path = &database.path;
    WalFile::open(path).map_err(|source| OpenError::path(&paths::wal(path), source))
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

/// Reads and checks a file without changing it. The caller keeps the connection until the next one is open, which would
/// otherwise have to read a long WAL again.
fn inspect(database: &Database, app: &AppSchema) -> Result<(Connection, DatabaseInfo), OpenError> {
    // When a writable connection is the last to close, it moves a WAL into the database: that is for the file's owner to
    // do. Without a WAL, reading creates an empty one, and only a writable connection removes it again.
    let flags = if paths::wal(&database.path).exists() {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let connection = connect_with(database, flags)?;
    let info = read_info(&connection, database, app)?;
    Ok((connection, info))
}

fn read_info(
    connection: &Connection,
    database: &Database,
    app: &AppSchema,
) -> Result<DatabaseInfo, OpenError> {
    let path = &database.path;
    let info = DatabaseInfo::read(connection).map_err(|error| OpenError::sqlite(path, error))?;
    info.check(path, app)?;
    Ok(info)
}

/// Creates the file, or migrates it to this program's schema, under the write lock.
fn create_or_migrate(
    database: &Database,
    lock: &mut WriteLock,
    app: &AppSchema,
    time_max: Option<Duration>,
) -> Result<(Connection, InitOutcome, Vec<Step>), OpenError> {
    let path = &database.path;
    let _guard = lock
        .acquire_or_call(|| log_waiting(path))
        .map_err(|source| OpenError::lock(path, source))?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    if database.create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let mut connection = connect_with(database, flags)?;
    // A migration is a commit like any other.
    litestream::cut_wal_if_copied(&connection).map_err(|error| OpenError::sqlite(path, error))?;
    // Read it again: another replica may have created or migrated it meanwhile.
    let info = read_info(&connection, database, app)?;
    if !info.is_wal {
        set_journal_mode(&connection, database)?;
    }
    let steps = migrate::migrate(path, &mut connection, &info, app, time_max)?;
    let outcome = if info.is_new() {
        InitOutcome::Created
    } else if info.is_current(app) {
        InitOutcome::Unchanged
    } else {
        InitOutcome::Migrated
    };
    Ok((connection, outcome, steps))
}

/// SQLite does not call its busy handler here, so this sleeps and retries until the busy timeout. (Nothing else does: no
/// request is served yet, and a program that does not use daybook's lock cannot be waited for in the kernel.)
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

/// Another process may hold the lock for long.
fn log_waiting(path: &Path) {
    match lock::holder(path) {
        Some(pid) => tracing::info!(pid, "waiting for the write lock that another process holds"),
        None => tracing::info!("waiting for the write lock"),
    }
}
