//! Checks whether a WAL database can work at its path: the file system, and this process's permissions.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::paths;

/// The kind of file system under a path. SQLite's WAL-index is shared memory, so all processes must run on one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// Local, as far as one can tell.
    Local,
    /// Shared memory and locks do not reach its other clients.
    Network(&'static str),
    /// In user space: whether it is local depends on what is behind it.
    Fuse,
}

/// The file system that holds `directory`.
pub(super) fn kind(directory: &Path) -> io::Result<FileSystem> {
    let found = rustix::fs::statfs(directory)?;
    // The field is signed on some platforms, and the magic numbers are 32 bits wide on all.
    Ok(classify(found.f_type as u32))
}

/// The magic numbers of statfs(2) and linux/magic.h.
fn classify(magic: u32) -> FileSystem {
    match magic {
        0x6969 => FileSystem::Network("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => FileSystem::Network("SMB"),
        0x0102_1997 => FileSystem::Network("9p"),
        0x00C3_6400 => FileSystem::Network("Ceph"),
        0x5346_414F | 0x6B41_4653 => FileSystem::Network("AFS"),
        0x7375_7245 => FileSystem::Network("Coda"),
        0x0BD0_0BD0 => FileSystem::Network("Lustre"),
        0x0116_1970 => FileSystem::Network("GFS2"),
        0x7461_636F => FileSystem::Network("OCFS2"),
        0x6573_5546 => FileSystem::Fuse,
        _ => FileSystem::Local,
    }
}

/// The directory of a file.
pub(super) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The first of the database's files, or its directory, that this process may not read and write. (SQLite reports only
/// that it could not open one, not whether it ever can.)
pub(super) fn access_denied(database: &Path) -> Option<(PathBuf, io::Error)> {
    let files = [
        database.to_owned(),
        paths::wal(database),
        paths::shm(database),
    ];
    let files = files.into_iter().map(|path| (path, Access::READ_OK));
    let directory = (directory(database).to_owned(), Access::EXEC_OK);
    files.chain([directory]).find_map(|(path, access)| {
        match rustix::fs::access(&path, access | Access::WRITE_OK) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => None,
            Err(error) => Some((path, error.into())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_several_machines_are_told_from_local_ones() {
        for magic in [
            0x6969,
            0x517B,
            0xFF53_4D42,
            0xFE53_4D42,
            0x0102_1997,
            0x00C3_6400,
            0x5346_414F,
            0x6B41_4653,
            0x7375_7245,
            0x0BD0_0BD0,
            0x0116_1970,
            0x7461_636F,
        ] {
            assert!(
                matches!(classify(magic), FileSystem::Network(_)),
                "{magic:#x}"
            );
        }
        assert_eq!(classify(0x6573_5546), FileSystem::Fuse);
        // ext4, xfs, btrfs, tmpfs, overlayfs
        for magic in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630] {
            assert_eq!(classify(magic), FileSystem::Local, "{magic:#x}");
        }
    }

    #[test]
    fn the_temporary_directory_has_a_kind() {
        assert!(kind(&std::env::temp_dir()).is_ok());
    }
}
