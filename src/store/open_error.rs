//! Why a database is not opened, and whether a restart could help.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use super::{path, schema};

/// Why a database is not opened.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum OpenError {
    #[error(
        "SQLite {found} is linked, which can corrupt a database that several processes write: 3.51.3 or newer is needed"
    )]
    SqliteTooOld { found: &'static str },
    #[error(
        "{path}: {what}, and database.create is false: restore it, or run `daybook init` with database.create = true"
    )]
    Missing { path: PathBuf, what: &'static str },
    #[error("{path}: {source}{}", path_hint(.source))]
    Path { path: PathBuf, source: io::Error },
    #[error("{path}: this is not a file: let database.path name the database's own file")]
    NotAFile { path: PathBuf },
    #[error(
        "{path}: this is {kind}, a network file system, where SQLite's shared memory does not work: put database.path on a local disk"
    )]
    NetworkFileSystem { path: PathBuf, kind: &'static str },
    #[error(
        "{path}: its journal mode stays {mode:?} where \"wal\" is needed: put database.path on a local disk that supports shared memory"
    )]
    NotWal { path: PathBuf, mode: String },
    #[error(
        "{path}: this is another program's database ({why}): let database.path name another file"
    )]
    Foreign { path: PathBuf, why: String },
    #[error("{path}: the database is damaged ({why}): restore it from the backup, or move it away")]
    Damaged { path: PathBuf, why: String },
    #[error(
        "{path}: the database is damaged: {what}, but {left_over} is left of one, and SQLite would delete what is in it: put the file that it belongs to back; if that is lost, keep {left_over} in another directory and restore the backup"
    )]
    FileLost {
        path: PathBuf,
        what: &'static str,
        left_over: PathBuf,
    },
    #[error(
        "{path}: the database is damaged: this log has no valid header, and SQLite would discard the commits that are in it: restore the backup, or move the log away to go on without them"
    )]
    LogDamaged { path: PathBuf },
    #[error(
        "{path}: schema version {found} can be used by version {oldest} or newer only, and this program knows {}: run a newer daybook",
        schema::VERSION
    )]
    TooNew {
        path: PathBuf,
        found: i64,
        oldest: i64,
    },
    #[error("{path}: {source}{}", sqlite_hint(.source))]
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
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Path { source, .. } => !is_lasting(source),
            Self::Sqlite { source, .. } => !is_refused(source),
            Self::Thread(_) | Self::Pool(_) => true,
            _ => false,
        }
    }

    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                why: source.to_string(),
            },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => match path::refusal(&path) {
                Some((path, source)) => Self::Path { path, source },
                None => Self::Sqlite { path, source },
            },
            _ => Self::Sqlite { path, source },
        }
    }
}

/// What no restart cures. All else may: too many open files, a full disk, no memory.
fn is_lasting(error: &io::Error) -> bool {
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
        _ if is_lasting(error) => {
            ": database.path must name a file in a directory that daybook may write to"
        }
        _ => "",
    }
}

/// Whether SQLite may not do what it must. That it cannot *open* is no such thing by itself: what the file system
/// refuses is an [`OpenError::Path`], and what is left is, say, too many open files.
fn is_refused(error: &rusqlite::Error) -> bool {
    let Some(error) = error.sqlite_error() else {
        return false;
    };
    match error.code {
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => true,
        // The others are another process's doing, which may just be recovering or replacing the file.
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
        _ if is_refused(error) => ": daybook must be able to write to the file and its directory",
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
        // Nowhere, so that the file system refuses nothing.
        let path = Path::new("/nowhere/requests.db");
        OpenError::sqlite(path, rusqlite::Error::SqliteFailure(error, None))
    }

    #[test]
    fn only_what_a_restart_cannot_cure_is_final() {
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
    fn what_sqlite_cannot_open_is_asked_of_the_file_system() {
        let dir = tempfile::tempdir().unwrap();
        // What not even root may: its directory is a file.
        let path = dir.path().join("file/requests.db");
        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = ffi::Error::new(ffi::SQLITE_CANTOPEN);
        let error = OpenError::sqlite(&path, rusqlite::Error::SqliteFailure(error, None));
        assert!(matches!(error, OpenError::Path { .. }), "{error}");
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_message_says_what_would_be_right_where_it_can() {
        for (error, words) in [
            (of_path(Errno::NOSPC), "make room"),
            (of_path(Errno::ACCESS), "may write to"),
            (of_sqlite(ffi::SQLITE_FULL), "make room"),
            (of_sqlite(ffi::SQLITE_BUSY), "database.busy_timeout"),
            (of_sqlite(ffi::SQLITE_READONLY), "must be able to write"),
        ] {
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
