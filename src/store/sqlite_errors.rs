//! Classifies SQLite's errors for the writer.

use rusqlite::{ErrorCode, ffi};

/// Another connection has the database; a later attempt can succeed.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                // Too many connections were opening or recovering the WAL at this moment.
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// The file is corrupt.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Whether a failed `COMMIT` certainly wrote nothing. A transaction is valid once its last frame is in the WAL: if that
/// frame could not be *written*, there is no transaction. If it could not be *synced* (`SQLITE_IOERR_FSYNC`), a later
/// recovery may find it or not.
pub(super) fn was_not_committed(error: &rusqlite::Error) -> bool {
    let Some(error) = error.sqlite_error() else {
        return false;
    };
    matches!(
        error.code,
        ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::ConstraintViolation
    ) || error.extended_code == ffi::SQLITE_IOERR_WRITE
}

/// Whether one record, or a trigger or an index that fails on it, can have caused the error. Then the other records of
/// the batch are tried without it.
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
