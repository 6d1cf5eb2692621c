//! Why a database is not opened, and whether a restart could help.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{ErrorCode, ffi};

use super::{filesystem, paths};

/// Why a database is not opened.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum OpenError {
    #[error(
        "SQLite {found} is linked, which can corrupt a database that several processes write: link 3.51.3 or newer"
    )]
    SqliteTooOld { found: &'static str },
    #[error(
        "{path}: {what}, and database.create is false: restore it, or run `daybook init` with database.create = true"
    )]
    Missing { path: PathBuf, what: &'static str },
    #[error(
        "{path}: there is no database to read: set database.path, in the file of --config or as DAYBOOK_DATABASE__PATH, to the database of the replicas, or name a replica with --admin"
    )]
    NothingToRead { path: PathBuf },
    #[error("{path}: {source}{}", path_hint(.source))]
    Path { path: PathBuf, source: io::Error },
    #[error("{path}: this is not a file: set database.path to the database's file")]
    NotAFile { path: PathBuf },
    #[error(
        "{path}: this is on {kind}, a network file system, where SQLite's shared memory does not work: put database.path on a local disk"
    )]
    NetworkFileSystem { path: PathBuf, kind: &'static str },
    #[error(
        "{path}: SQLite keeps journal mode {mode:?}, but \"wal\" is needed: put database.path on a local disk that supports shared memory"
    )]
    NotWal { path: PathBuf, mode: String },
    #[error(
        "{path}: this is another program's database ({why}): set database.path to another file"
    )]
    Foreign { path: PathBuf, why: String },
    #[error("{path}: the database is damaged ({why}): restore it from the backup, or move it away")]
    Damaged { path: PathBuf, why: String },
    #[error(
        "{path}: the database is damaged: {what}, and SQLite would delete the commits in its {orphan}: put the database back, or move {orphan} to another directory and restore the backup"
    )]
    DatabaseLost {
        path: PathBuf,
        what: &'static str,
        orphan: PathBuf,
    },
    #[error(
        "{path}: the database is damaged: this write-ahead log has no valid header, and SQLite would discard its commits: restore the backup, or move the log away, which loses them"
    )]
    WalDamaged { path: PathBuf },
    #[error(
        "{path}: schema version {found} needs a program that knows version {oldest} or newer, and this one knows {supported}: run a newer daybook"
    )]
    TooNew {
        path: PathBuf,
        found: i64,
        oldest: i64,
        supported: i64,
    },
    #[error(
        "{path}: this is the database of the application {found:?}, and this program is {program:?}: set database.path to another file"
    )]
    OtherApplication {
        path: PathBuf,
        found: String,
        program: &'static str,
    },
    #[error(
        "{path}: schema version {found} of {application:?} needs a program that knows version {oldest} or newer, and this one knows {supported}: run a newer {application}"
    )]
    AppTooNew {
        path: PathBuf,
        application: &'static str,
        found: i64,
        oldest: i64,
        supported: i64,
    },
    #[error(
        "{file}: this file has changed since it ran on {path}: restore it, and write a new migration for the change"
    )]
    MigrationChanged { path: PathBuf, file: String },
    #[error("{file}: {why} ({path} is unchanged)")]
    Migration {
        path: PathBuf,
        file: String,
        why: String,
    },
    #[error(
        "{path}: the migrations take longer than commit.deadline, {time_max:?}, while no request can be recorded, and were undone ({steps}): run `{program} init --allow-downtime` when that is acceptable, or make them smaller"
    )]
    MigrationsTooSlow {
        path: PathBuf,
        time_max: Duration,
        steps: String,
        program: &'static str,
    },
    #[error("{path}: {source}{}", sqlite_hint(.source))]
    Sqlite {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("a thread could not be started: {0}")]
    Thread(io::Error),
    #[error("the pool of read connections could not be created: {0}")]
    Pool(String),
}

impl OpenError {
    /// Whether another attempt with the same configuration and file can succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Path { source, .. } => !is_permanent(source),
            Self::Sqlite { source, .. } => !lacks_permission(source),
            Self::Thread(_) | Self::Pool(_) => true,
            _ => false,
        }
    }

    pub(super) fn path(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Path { path, source }
    }

    pub(super) fn lock(database: &Path, source: io::Error) -> Self {
        Self::path(&paths::lock(database), source)
    }

    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                why: source.to_string(),
            },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                match filesystem::access_denied(&path) {
                    Some((path, source)) => Self::Path { path, source },
                    None => Self::Sqlite { path, source },
                }
            }
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Whether a restart cannot help. It can with too many open files, a full disk or no memory.
fn is_permanent(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        NotFound
            | PermissionDenied
            | NotADirectory
            | IsADirectory
            | ReadOnlyFilesystem
            | InvalidFilename
            | InvalidInput
    ) || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

fn path_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": make room on that disk",
        _ if is_permanent(error) => {
            ": database.path must name a file in a directory that daybook may write to"
        }
        _ => "",
    }
}

/// Whether SQLite lacks a permission. `SQLITE_CANTOPEN` does not count: where the file system denies access, the error is
/// an [`OpenError::Path`]; other causes, such as too many open files, are temporary.
fn lacks_permission(error: &rusqlite::Error) -> bool {
    let Some(error) = error.sqlite_error() else {
        return false;
    };
    match error.code {
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => true,
        // With these codes, another process may be recovering or replacing the file at this moment.
        ErrorCode::ReadOnly => !matches!(
            error.extended_code,
            ffi::SQLITE_READONLY_RECOVERY
                | ffi::SQLITE_READONLY_CANTLOCK
                | ffi::SQLITE_READONLY_CANTINIT
                | ffi::SQLITE_READONLY_DBMOVED
        ),
        _ => false,
    }
}

fn sqlite_hint(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ": make room on that disk",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ": another program has held the database for longer than database.busy_timeout: let it finish, or stop it"
        }
        _ if lacks_permission(error) => {
            ": daybook must be able to write to the file and its directory"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn of_path(error: Errno) -> OpenError {
        OpenError::Path {
            path: "requests.db".into(),
            source: error.into(),
        }
    }

    fn of_sqlite(code: i32) -> OpenError {
        let error = ffi::Error::new(code);
        // A missing directory, so that the file system denies nothing.
        let path = Path::new("/nowhere/requests.db");
        OpenError::sqlite(path, rusqlite::Error::SqliteFailure(error, None))
    }

    #[test]
    fn only_errors_that_a_restart_cannot_cure_are_permanent() {
        for error in [
            Errno::NOENT,
            Errno::ACCESS,
            Errno::PERM,
            Errno::NOTDIR,
            Errno::ISDIR,
            Errno::ROFS,
            Errno::LOOP,
            Errno::NAMETOOLONG,
        ] {
            assert!(!of_path(error).is_retryable(), "{error}");
        }
        for error in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::NOMEM,
            Errno::INTR,
            Errno::AGAIN,
            Errno::IO,
        ] {
            assert!(of_path(error).is_retryable(), "{error}");
        }
        assert!(OpenError::Thread(Errno::AGAIN.into()).is_retryable());
        for code in [
            ffi::SQLITE_READONLY,
            ffi::SQLITE_READONLY_DIRECTORY,
            ffi::SQLITE_PERM,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_CORRUPT,
        ] {
            assert!(!of_sqlite(code).is_retryable(), "{code}");
        }
        for code in [
            ffi::SQLITE_READONLY_RECOVERY,
            ffi::SQLITE_READONLY_CANTINIT,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_FULL,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_IOERR_SHMSIZE,
        ] {
            assert!(of_sqlite(code).is_retryable(), "{code}");
        }
    }

    #[test]
    fn a_file_that_sqlite_cannot_open_is_checked_in_the_file_system() {
        let dir = tempfile::tempdir().unwrap();
        // Even root is denied this: its directory is a file.
        let path = dir.path().join("file/requests.db");
        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = ffi::Error::new(ffi::SQLITE_CANTOPEN);
        let error = OpenError::sqlite(&path, rusqlite::Error::SqliteFailure(error, None));
        assert!(matches!(error, OpenError::Path { .. }), "{error}");
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_message_says_what_would_be_right() {
        for (error, words) in [
            (of_path(Errno::NOSPC), "make room"),
            (of_path(Errno::ACCESS), "may write to"),
            (of_sqlite(ffi::SQLITE_FULL), "make room"),
            (of_sqlite(ffi::SQLITE_BUSY), "database.busy_timeout"),
            (of_sqlite(ffi::SQLITE_READONLY), "must be able to write"),
        ] {
            assert!(error.to_string().contains(words), "{error}");
        }
        // No hint where none is known.
        assert!(
            of_path(Errno::NFILE)
                .to_string()
                .ends_with(&io::Error::from(Errno::NFILE).to_string())
        );
        let nomem = of_sqlite(ffi::SQLITE_NOMEM).to_string();
        assert!(!nomem.contains("must be able to write"), "{nomem}");
    }
}
