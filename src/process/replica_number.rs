//! The number of a replica that nobody gave one.
//!
//! The replicas of a container service are all started alike, and a proxy needs to know their sockets by name. So they
//! count themselves: in the directory of the socket, by a lock on a file for each number. The kernel gives a lock back
//! when its process ends, however it ends, and the next one to start takes the number over.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, Listen, NUMBER_MAX};

/// A number that no other process has, for as long as this lives.
pub struct ReplicaNumber {
    _lock: File,
}

/// Why there is no number to be had. Each may pass: another replica ends, a directory is made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum NumberError {
    #[error("{}: {source}: a replica without a number of its own needs to write where its socket is to be", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("{0}: other processes have all numbers up to {NUMBER_MAX}")]
    AllTaken(Listen),
}

/// Takes the lowest number that is free and puts it wherever the configuration has a `*` for it; `None` if it has none.
///
/// # Errors
/// [`NumberError`].
pub fn take(config: &mut Config) -> Result<Option<ReplicaNumber>, NumberError> {
    let mut listens = config.listen.iter().chain(&config.admin.listen);
    let Some(listen) = listens.find(|listen| listen.is_numbered()) else {
        return Ok(None);
    };
    for number in 1..=NUMBER_MAX {
        let Listen::Unix(socket) = listen.with_number(number) else {
            continue;
        };
        // Never unlinked: whoever has it open would then hold a lock that nobody else sees.
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

/// `None` if another process has it.
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
