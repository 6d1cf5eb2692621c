//! A unix socket at a path: whom it replaces, and whom it does not.

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

/// Nobody sees the socket before it listens: to another starter, one that is bound and does not listen yet looks
/// like one that its process has left behind.
pub(super) fn bind(path: &Path) -> io::Result<Listener> {
    let temporary = temporary_name(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&temporary)?)?;
    let listen = || {
        let listener = listening(socket, Some(path))?;
        // Whoever may enter the directory may connect: a proxy runs under another user.
        std::fs::set_permissions(&temporary, Permissions::from_mode(0o666))?;
        // At the last moment: whoever listens there until then keeps the path.
        refuse_taken(path)?;
        std::fs::rename(&temporary, path)?;
        Ok(listener)
    };
    listen().inspect_err(|_| {
        // The error is what matters; what stays behind is in nobody's way.
        let _ = std::fs::remove_file(&temporary);
    })
}

/// A socket file outlives its process. If nobody answers there, it is in the way of nobody.
fn refuse_taken(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file in the way that is not a socket",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // An owner that stands still, with its backlog full, would keep us waiting: it is there all the same.
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

/// A hidden name in the same directory, which `bind` refuses to share. Random, for in containers every process is
/// number 1; and cut, for a path that fits into a socket's address is to fit with this name, too.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let random = RandomState::new().hash_one(name) as u16;
    let mut temporary = format!(".{random:04x}.").into_bytes();
    temporary.extend(name.as_bytes());
    let directory_bytes = path.as_os_str().len() - name.len();
    temporary.truncate(UNIX_PATH_BYTES_MAX.saturating_sub(directory_bytes));
    Ok(path.with_file_name(OsStr::from_bytes(&temporary)))
}

/// Makes a listener of a bound socket. `path` is its file's.
pub(super) fn listening(socket: Socket, path: Option<&Path>) -> io::Result<Listener> {
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Unix {
        listener: UnixListener::from_std(socket.into())?,
        path: path.map(Path::to_owned),
    })
}
