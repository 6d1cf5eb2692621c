//! A unix socket at a path. It replaces a stale socket file, and nothing else.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::{BACKLOG, Listener};
use crate::config::UNIX_PATH_BYTES_MAX;

/// The path appears only when the socket listens: another process that starts would take a bound socket that does not
/// listen yet for a stale one.
pub(super) fn bind(path: &Path) -> io::Result<Listener> {
    let temporary = temporary_name(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&temporary)?)?;
    let listen = || {
        let listener = listening(socket, Some(path))?;
        // The directory's permissions decide who may connect: a proxy runs as another user.
        std::fs::set_permissions(&temporary, Permissions::from_mode(0o666))?;
        // As late as possible, so that a process which starts to listen there meanwhile keeps the path.
        refuse_if_in_use(path)?;
        std::fs::rename(&temporary, path)?;
        Ok(listener)
    };
    listen().inspect_err(|_| {
        // The first error matters more, and a leftover file does no harm.
        let _ = std::fs::remove_file(&temporary);
    })
}

/// A socket file outlives its process. It is in use only if a process listens there.
fn refuse_if_in_use(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file that is not a socket is at this path",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // An owner that is stuck, with a full backlog, would make us wait. It still owns the path.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Err(io::ErrorKind::AddrInUse.into()),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        },
    }
}

/// A hidden name in the same directory. Random, because every container has a process 1. Cut, because the path with this
/// name must also fit into a socket address.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let random = RandomState::new().hash_one(name) as u16;
    let mut temporary = format!(".{random:04x}.").into_bytes();
    temporary.extend(name.as_bytes());
    let directory_bytes = path.as_os_str().len() - name.len();
    temporary.truncate(UNIX_PATH_BYTES_MAX.saturating_sub(directory_bytes));
    Ok(path.with_file_name(OsStr::from_bytes(&temporary)))
}

/// Makes a listener from a bound socket. `path` is that of its file.
pub(super) fn listening(socket: Socket, path: Option<&Path>) -> io::Result<Listener> {
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Unix {
        listener: UnixListener::from_std(socket.into())?,
        path: path.map(Path::to_owned),
    })
}
