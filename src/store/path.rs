//! Where the database lies: the file behind `database.path`, and whether a WAL database may lie there.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::filesystem::{self, FileSystem};
use super::{OpenError, left_over, log_file};
use crate::config::Database;

/// As many symbolic links as Linux itself follows.
const LINKS_MAX: usize = 40;

/// The database with its path resolved: SQLite puts its log and its index beside the file itself, not beside a link
/// to it, and so must we the lock. The file may be missing; its directory may not.
pub(super) fn resolve(database: &Database) -> Result<Database, OpenError> {
    match resolve_path(&database.path) {
        Ok(path) => Ok(Database {
            path,
            ..database.clone()
        }),
        Err(source) => Err(OpenError::Path {
            path: database.path.clone(),
            source,
        }),
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
            // To a file that is yet to be created.
            Ok(target) => path = directory(&path).join(target),
            Err(_) => {
                let name = path.file_name().ok_or(io::ErrorKind::NotFound)?;
                return Ok(directory(&path).canonicalize()?.join(name));
            }
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file that SQLite keeps beside the database: `-wal`, `-shm`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether there is something to look at: a file with content. One without is as good as missing.
pub(super) fn has_content(database: &Database) -> Result<bool, OpenError> {
    let path = database.path.clone();
    // Before the file itself: another replica may just be creating first the one, then the other.
    let left_over =
        left_over::of(&path).map_err(|(path, source)| OpenError::Path { path, source })?;
    let what = match path.metadata() {
        Ok(file) if !file.is_file() => return Err(OpenError::NotAFile { path }),
        Ok(file) if file.len() > 0 => return Ok(true),
        Ok(_) => "the file is empty",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no database",
        Err(source) => return Err(OpenError::Path { path, source }),
    };
    match left_over {
        Some(left_over) => Err(OpenError::FileLost {
            path,
            what,
            left_over,
        }),
        None if database.create => Ok(false),
        None => Err(OpenError::Missing { path, what }),
    }
}

/// Refuses a log that SQLite would take for an empty one.
pub(super) fn check_log(path: &Path) -> Result<(), OpenError> {
    match left_over::has_damaged_log(path) {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::LogDamaged {
            path: log_file::path(path),
        }),
        Err(source) => Err(OpenError::Path {
            path: log_file::path(path),
            source,
        }),
    }
}

/// Refuses a network file system.
pub(super) fn check_file_system(path: &Path) -> Result<(), OpenError> {
    match filesystem::of(directory(path)) {
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

/// What the file system refuses us of the database's files. (Of SQLite one hears only that it could not open one, not
/// whether it ever can.)
pub(super) fn refusal(path: &Path) -> Option<(PathBuf, io::Error)> {
    let files = ["", "-wal", "-shm"].map(|suffix| (beside(path, suffix), Access::READ_OK));
    let directory = (directory(path).to_owned(), Access::EXEC_OK);
    files
        .into_iter()
        .chain([directory])
        .find_map(
            |(path, access)| match rustix::fs::access(&path, access | Access::WRITE_OK) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => None,
                Err(error) => Some((path, error.into())),
            },
        )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_a_file_that_need_not_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir(dir.join("data")).unwrap();
        symlink("data", dir.join("current")).unwrap();
        // A link to a link, both relative to where they lie.
        symlink("current/second", dir.join("first")).unwrap();
        symlink("requests.db", dir.join("data/second")).unwrap();
        let file = dir.join("data/requests.db");
        assert_eq!(resolve_path(&dir.join("first")).unwrap(), file);
        fs::write(&file, "").unwrap();
        assert_eq!(resolve_path(&dir.join("first")).unwrap(), file);
    }

    #[test]
    fn a_file_of_its_own_stays_what_it_is() {
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
