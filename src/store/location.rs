//! The database's location: resolves `database.path`, and refuses places and leftovers that would lose data.

use std::io;
use std::path::{Path, PathBuf};

use super::filesystem::{self, FileSystem, directory};
use super::open_error::OpenError;
use super::{lost_commits, paths};
use crate::config::Database;

/// As many symbolic links as Linux itself follows.
const LINKS_MAX: usize = 40;

/// The configuration with `database.path` resolved: SQLite puts the WAL and its index beside the file itself, not beside
/// a link to it, so the lock must be there too. The file may be missing, its directory may not.
pub(super) fn resolve(database: &Database) -> Result<Database, OpenError> {
    match resolve_path(&database.path) {
        Ok(path) => Ok(Database {
            path,
            ..database.clone()
        }),
        Err(source) => Err(OpenError::path(&database.path, source)),
    }
}

fn resolve_path(configured: &Path) -> io::Result<PathBuf> {
    let mut path = configured.to_owned();
    for _ in 0..LINKS_MAX {
        match path.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        match path.read_link() {
            // A link to a file that does not exist yet.
            Ok(target) => path = directory(&path).join(target),
            Err(_) => {
                let name = path.file_name().ok_or(io::ErrorKind::NotFound)?;
                return Ok(directory(&path).canonicalize()?.join(name));
            }
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// Whether the file has content; an empty file counts as missing.
///
/// # Errors
/// If the file is missing and may not be created, or has left a WAL or a journal behind.
pub(super) fn has_content(database: &Database) -> Result<bool, OpenError> {
    let path = database.path.clone();
    // Before the file itself: another replica may be creating first the database, then its WAL.
    let orphan = lost_commits::wal_or_journal(&path)
        .map_err(|(path, source)| OpenError::path(&path, source))?;
    let what = match path.metadata() {
        Ok(file) if !file.is_file() => return Err(OpenError::NotAFile { path }),
        Ok(file) if file.len() > 0 => return Ok(true),
        Ok(_) => "the file is empty",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no database",
        Err(source) => return Err(OpenError::path(&path, source)),
    };
    match orphan {
        Some(orphan) => Err(OpenError::DatabaseLost { path, what, orphan }),
        None if database.create => Ok(false),
        None => Err(OpenError::Missing { path, what }),
    }
}

/// Refuses a WAL that SQLite would treat as empty.
pub(super) fn check_wal(database: &Path) -> Result<(), OpenError> {
    let path = paths::wal(database);
    match lost_commits::has_damaged_wal(database) {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::WalDamaged { path }),
        Err(source) => Err(OpenError::path(&path, source)),
    }
}

/// Refuses a network file system.
pub(super) fn check_file_system(path: &Path) -> Result<(), OpenError> {
    match filesystem::kind(directory(path)) {
        Ok(FileSystem::Local) => Ok(()),
        Ok(FileSystem::Fuse) => {
            tracing::warn!(
                path = %path.display(),
                "the database is on a FUSE file system: it must be local to this machine and support locks and shared memory"
            );
            Ok(())
        }
        Ok(FileSystem::Network(kind)) => Err(OpenError::NetworkFileSystem {
            path: path.to_owned(),
            kind,
        }),
        Err(source) => Err(OpenError::path(path, source)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_a_file_that_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir(dir.join("data")).unwrap();
        symlink("data", dir.join("current")).unwrap();
        // A link to a link, both relative to their own directories.
        symlink("current/second", dir.join("first")).unwrap();
        symlink("requests.db", dir.join("data/second")).unwrap();
        let file = dir.join("data/requests.db");
        assert_eq!(resolve_path(&dir.join("first")).unwrap(), file);
        fs::write(&file, "").unwrap();
        assert_eq!(resolve_path(&dir.join("first")).unwrap(), file);
    }

    #[test]
    fn a_path_without_links_is_made_absolute() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        let path = resolve_path(Path::new("not-there.db")).unwrap();
        assert_eq!(path, here.join("not-there.db"));
    }

    #[test]
    fn a_loop_and_a_missing_directory_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("loop");
        symlink("loop", &link).unwrap();
        assert!(resolve_path(&link).is_err());
        let error = resolve_path(&dir.path().join("nowhere/requests.db")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
