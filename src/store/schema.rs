//! Opening: what is refused, what is adopted, and the migrations.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::filesystem::{self, FileSystem};
use super::lock::{self, WriteLock};
use crate::config::Database;

/// The first SQLite without the WAL-reset bug, which corrupts a database when two processes write and checkpoint
/// at the same instant (sqlite.org, release notes of 3.51.3).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// "dayb".
const APPLICATION_ID: i32 = 0x6461_7962;

/// One step of the schema. `oldest` is the oldest schema version whose program may still use the file afterwards,
/// so that a rollback after a migration works.
struct Migration {
    version: i32,
    oldest: i32,
    sql: &'static str,
}

/// In order; append only.
const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    oldest: 1,
    sql: include_str!("schema.sql"),
}];
/// The schema version of this program.
const VERSION: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// Why a database is not opened.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum OpenError {
    #[error(
        "SQLite {found} is linked, which can corrupt a database that several processes write: 3.51.3 or newer is needed"
    )]
    SqliteTooOld { found: &'static str },
    #[error(
        "{path}: there is no database, and database.create is false: restore it, or run `daybook init` with database.create = true"
    )]
    Missing { path: PathBuf },
    #[error(
        "{path}: {source}: database.path must name a file in a directory that daybook may write to"
    )]
    Path { path: PathBuf, source: io::Error },
    #[error(
        "{path}: this is {kind}, a network file system, where SQLite's shared memory does not work: put database.path on a local disk"
    )]
    NetworkFileSystem { path: PathBuf, kind: &'static str },
    #[error(
        "{path}: this is another program's database ({why}): let database.path name another file"
    )]
    Foreign { path: PathBuf, why: String },
    #[error(
        "{path}: the database is damaged ({source}): restore it from the backup, or move it away"
    )]
    Damaged {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "{path}: schema version {found} can be used by version {oldest} or newer only, and this program knows {VERSION}: run a newer daybook"
    )]
    TooNew {
        path: PathBuf,
        found: i32,
        oldest: i32,
    },
    #[error("{path}: {source}")]
    Sqlite {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("a thread could not be started: {0}")]
    Thread(io::Error),
    #[error("the read pool could not be made: {0}")]
    Pool(String),
}

impl OpenError {
    /// Whether another try with the same configuration and file could go better.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => !matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::CannotOpen
                        | ErrorCode::ReadOnly
                        | ErrorCode::PermissionDenied
                        | ErrorCode::AuthorizationForStatementDenied
                )
            ),
            Self::Thread(_) | Self::Pool(_) => true,
            _ => false,
        }
    }

    fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, source }
            }
            _ => Self::Sqlite { path, source },
        }
    }
}

/// The version of the SQLite that is linked.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Creates the database, or brings it to this program's schema (`daybook init`); says in words what was done.
///
/// # Errors
/// [`OpenError`].
pub fn init(database: &Database) -> Result<&'static str, OpenError> {
    let is_new = !database.path.exists();
    let before = if is_new {
        None
    } else {
        connect(database)
            .and_then(|connection| {
                Found::read(&connection).map_err(|error| OpenError::sqlite(&database.path, error))
            })
            .ok()
    };
    open(database)?;
    Ok(match before {
        _ if is_new => "created",
        Some(found) if found.version >= VERSION => "already at this version's schema",
        _ => "brought to this version's schema",
    })
}

/// Opens, creates or migrates the database; returns the writer's connection and the write lock.
pub(super) fn open(database: &Database) -> Result<(Connection, WriteLock), OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::SqliteTooOld {
            found: rusqlite::version(),
        });
    }
    let path = &database.path;
    let path_error = |source| OpenError::Path {
        path: path.clone(),
        source,
    };
    check_file_system(path)?;
    match path.metadata() {
        Ok(file) if !file.is_file() => {
            return Err(path_error(io::Error::other("this is not a file")));
        }
        Ok(_) => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(path_error(error)),
        Err(_) if !database.create => return Err(OpenError::Missing { path: path.clone() }),
        Err(_) => {}
    }
    let mut lock = open_lock(database)?;
    let mut connection = prepare(database, &mut lock, path_error)?;
    pragmas(&connection, database).map_err(|error| OpenError::sqlite(path, error))?;
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    Ok((connection, lock))
}

/// The write lock, for one thread.
pub(super) fn open_lock(database: &Database) -> Result<WriteLock, OpenError> {
    WriteLock::open(&database.path).map_err(|source| OpenError::Path {
        path: database.path.clone(),
        source,
    })
}

/// Another connection to a database that [`open`] has made ready.
pub(super) fn connect(database: &Database) -> Result<Connection, OpenError> {
    let connect = || {
        let connection = Connection::open_with_flags(
            &database.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        pragmas(&connection, database)?;
        Ok(connection)
    };
    connect().map_err(|error| OpenError::sqlite(&database.path, error))
}

fn check_file_system(path: &Path) -> Result<(), OpenError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match filesystem::of(directory) {
        Ok(FileSystem::Local) => Ok(()),
        Ok(FileSystem::Fuse) => {
            tracing::warn!(
                path = %path.display(),
                "the database is on a FUSE file system: it must lie on one machine, and support locks and shared memory"
            );
            Ok(())
        }
        Ok(FileSystem::Network(kind)) => Err(OpenError::NetworkFileSystem {
            path: path.to_owned(),
            kind,
        }),
        Err(source) => Err(OpenError::Path {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Opens the file and brings it to our schema. Only a file that is not ready yet needs the write lock: many
/// replicas start at once, and setting `journal_mode` together gets them SQLITE_BUSY whatever the time-out.
fn prepare(
    database: &Database,
    lock: &mut WriteLock,
    path_error: impl Fn(io::Error) -> OpenError,
) -> Result<Connection, OpenError> {
    let path = &database.path;
    let sqlite_error = |error| OpenError::sqlite(path, error);
    if path.metadata().is_ok_and(|file| file.len() > 0) {
        let connection = connect(database)?;
        let found = Found::read(&connection).map_err(sqlite_error)?;
        found.check(path)?;
        if found.version >= VERSION && found.is_wal {
            probe(&connection).map_err(sqlite_error)?;
            return Ok(connection);
        }
    }
    let _held = lock
        .acquire_telling(|| tell_of_waiting(path))
        .map_err(path_error)?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if database.create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite_error)?;
    pragmas(&connection, database).map_err(sqlite_error)?;
    let found = Found::read(&connection).map_err(sqlite_error)?;
    found.check(path)?;
    if !found.is_wal {
        connection
            .pragma_update(None, "journal_mode", "wal")
            .map_err(sqlite_error)?;
    }
    migrate(&mut connection, found.version).map_err(sqlite_error)?;
    probe(&connection).map_err(sqlite_error)?;
    Ok(connection)
}

/// For the log: another process may hold the lock for long.
fn tell_of_waiting(path: &Path) {
    match lock::holder(path) {
        Some(pid) => tracing::info!(pid, "waiting for the write lock that another process holds"),
        None => tracing::info!("waiting for the write lock"),
    }
}

fn pragmas(connection: &Connection, database: &Database) -> rusqlite::Result<()> {
    connection.busy_timeout(database.busy_timeout)?;
    connection.pragma_update(None, "synchronous", database.synchronous.as_str())?;
    connection.pragma_update(None, "temp_store", "memory")
}

/// What a file says of itself.
struct Found {
    application_id: i32,
    is_wal: bool,
    tables: Vec<String>,
    has_seeds_shape: bool,
    version: i32,
    oldest: i32,
}

impl Found {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let tables: Vec<String> = connection
            .prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite^_%' escape '^' order by name")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let journal_mode: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let (version, oldest) = if tables.iter().any(|name| name == "daybook_schema") {
            connection.query_row("select version, oldest from daybook_schema", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
        } else {
            (0, 0)
        };
        Ok(Self {
            application_id: connection
                .pragma_query_value(None, "application_id", |row| row.get(0))?,
            is_wal: journal_mode.eq_ignore_ascii_case("wal"),
            has_seeds_shape: has_seeds_shape(connection)?,
            tables,
            version,
            oldest,
        })
    }

    fn check(&self, path: &Path) -> Result<(), OpenError> {
        let foreign = |why: String| {
            Err(OpenError::Foreign {
                path: path.to_owned(),
                why,
            })
        };
        match self.application_id {
            APPLICATION_ID if self.oldest > VERSION => Err(OpenError::TooNew {
                path: path.to_owned(),
                found: self.version,
                oldest: self.oldest,
            }),
            APPLICATION_ID if self.has_seeds_shape => Ok(()),
            APPLICATION_ID => {
                foreign("its table `requests` is missing or has another shape".into())
            }
            0 if self.tables.is_empty() || self.has_seeds_shape => Ok(()),
            0 if self.tables.iter().any(|name| name == "requests") => {
                foreign("its table `requests` has another shape".into())
            }
            0 => foreign(format!("its tables are {}", self.tables.join(", "))),
            other => foreign(format!("its application_id is {other:#010x}")),
        }
    }
}

/// Whether `requests` is the table of `schema.sql`. Indexes may have been added.
fn has_seeds_shape(connection: &Connection) -> rusqlite::Result<bool> {
    const COLUMNS: [(&str, &str, bool, bool); 6] = [
        ("id", "integer", false, true),
        ("timestamp", "real", true, false),
        ("method", "text", true, false),
        ("path", "text", true, false),
        ("content_length", "integer", true, false),
        ("remote_addr", "text", false, false),
    ];
    let columns: Vec<(String, String, bool, bool)> = connection
        .prepare("select name, lower(type), \"notnull\", pk from pragma_table_info('requests') order by cid")?
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    if !columns
        .iter()
        .map(|(name, kind, not_null, key)| (name.as_str(), kind.as_str(), *not_null, *key))
        .eq(COLUMNS)
    {
        return Ok(false);
    }
    let sql: String = connection.query_row(
        "select lower(sql) from sqlite_schema where type = 'table' and name = 'requests'",
        [],
        |row| row.get(0),
    )?;
    Ok(sql.contains("autoincrement"))
}

fn migrate(connection: &mut Connection, from: i32) -> rusqlite::Result<()> {
    if from >= VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(
        "create table if not exists daybook_schema (version integer not null, oldest integer not null)",
    )?;
    for migration in MIGRATIONS.iter().filter(|step| step.version > from) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute("delete from daybook_schema", [])?;
        transaction.execute(
            "insert into daybook_schema (version, oldest) values (?, ?)",
            [migration.version, migration.oldest],
        )?;
    }
    transaction.commit()
}

/// Touches both ends of the table, which a truncated or overwritten file does not survive. (A whole check takes
/// seconds a gigabyte, and start-up has milliseconds: `pragma integrity_check` is for a restored copy.)
fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row(
        "select min(id), max(id), (select seq from sqlite_sequence where name = 'requests') from requests",
        [],
        |_| Ok(()),
    )
}
