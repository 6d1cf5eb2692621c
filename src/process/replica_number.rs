//! Gives a replica a free number, for the `*` in `unix:/run/daybook/*.sock`.
//!
//! A container service starts all replicas with one configuration, but a proxy needs a socket name for each. A replica takes
//! the lowest N whose file `N.sock.lock`, in the socket's directory, it can lock. The kernel releases the lock when the
//! process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, Listen, NUMBER_MAX};

/// Keeps the number until it is dropped.
pub struct ReplicaNumber {
    _lock: File,
}

/// Why a replica got no number. A restart may help: another replica may end, or the directory may be created.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum NumberError {
    #[error("{}: {source}: a replica's number (* in a listener's path) needs a directory that daybook can write to", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("{0}: other replicas use all numbers up to {NUMBER_MAX}")]
    AllTaken(Listen),
}

/// Takes the lowest free number and replaces each `*` in the listeners with it. Returns `None` if no listener has a `*`.
///
/// # Errors
/// [`NumberError`]
pub fn take(config: &mut Config) -> Result<Option<ReplicaNumber>, NumberError> {
    let mut listens = config.listen.iter().chain(&config.admin.listen);
    let Some(listen) = listens.find(|listen| listen.is_numbered()) else {
        return Ok(None);
    };
    for number in 1..=NUMBER_MAX {
        let Listen::Unix(socket) = listen.with_number(number) else {
            continue;
        };
        // Never unlinked: a process with the unlinked file open would hold a lock that others cannot see.
        let mut path = socket.into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let locked = lock(&path).map_err(|source| NumberError::Lock { path, source })?;
        if let Some(lock) = locked {
            config.set_number(number);
            return Ok(Some(ReplicaNumber { _lock: lock }));
        }
    }
    Err(NumberError::AllTaken(listen.clone()))
}

/// Returns `None` if another process holds the lock.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
