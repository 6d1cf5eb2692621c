//! Gives a replica a free number, for the `*` in `unix:/run/daybook/*.sock`.
//!
//! A container service starts all replicas with one configuration, but a proxy needs a socket name for each. A replica takes
//! the lowest N whose file `N.sock.lock`, in the socket's directory, it can lock. The kernel releases the lock when the
//! process ends.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::config::{Config, Listen, NUMBER_MAX};
use crate::lock_file;
use crate::store::beside;

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
        let path = beside(&socket, ".lock");
        let lock = lock_file::open(&path).and_then(|file| Ok((lock_file::try_lock(&file)?, file)));
        let (is_free, lock) = lock.map_err(|source| NumberError::Lock { path, source })?;
        if is_free {
            config.set_number(number);
            return Ok(Some(ReplicaNumber { _lock: lock }));
        }
    }
    Err(NumberError::AllTaken(listen.clone()))
}
