//! Listening sockets: bound to an address or a path, or inherited from systemd.

mod port;
mod unix;

use std::collections::HashMap;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

pub use port::PortLock;

use crate::config::Listen;
use crate::http::client_address::Peer;

/// Connections that the kernel queues until they are accepted. It lowers this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum ListenError {
    #[error("{key} = \"{listen}\": {source}{hint}")]
    Bind {
        key: &'static str,
        listen: Listen,
        source: io::Error,
        hint: String,
    },
    #[error("{key} = \"fd:{name}\": systemd passed no socket of that name: set FileDescriptorName={name} in the socket unit (it passed: {})", if .found.is_empty() { "none" } else { .found })]
    NotInherited {
        key: &'static str,
        name: String,
        found: String,
    },
    #[error("cannot read the sockets passed by systemd: {0}")]
    Inherit(io::Error),
}

impl ListenError {
    /// Whether a retry with the same configuration may succeed.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::NotInherited { .. })
    }
}

/// The processes that may share a TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing<'a> {
    /// The replicas of this database. The kernel distributes connections among them.
    Replicas(&'a Path),
    /// None: a port in use is an error. Otherwise two admin listeners could share a port, and a scrape would reach either.
    Exclusive,
}

/// A bound listener.
pub enum Listener {
    /// TCP, with its address.
    Tcp {
        /// The socket.
        listener: TcpListener,
        /// If replicas share the port. Declared after the socket, so that it is dropped after it.
        _lock: Option<PortLock>,
    },
    /// A unix socket.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// The path of its file, if it has one. The kernel knows only the name to which it was first bound.
        path: Option<PathBuf>,
    },
}

/// A connection's socket, of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Sockets passed by systemd, by name.
#[derive(Default)]
pub struct Inherited(HashMap<String, Vec<OwnedFd>>);

impl Inherited {
    /// Takes the sockets passed to this process (sd_listen_fds(3)). Call it once, before any thread starts.
    ///
    /// # Errors
    /// If the environment variables that describe them are malformed.
    pub fn take() -> Result<Self, ListenError> {
        let mut named: HashMap<String, Vec<OwnedFd>> = HashMap::new();
        // Zero if the sockets are meant for another process. Their names may still be set, so they are not read.
        if sd_notify::listen_fds().map_err(ListenError::Inherit)?.len() == 0 {
            return Ok(Self(named));
        }
        for (fd, name) in sd_notify::listen_fds_with_names().map_err(ListenError::Inherit)? {
            // SAFETY: the environment, with our own PID in it, says that this descriptor is open and ours. Each number is
            // listed once, and no other code can have taken it, because this runs first.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            named.entry(name).or_default().push(fd);
        }
        Ok(Self(named))
    }
}

/// Binds one configured listener, or takes the inherited sockets of its name. `key` is its configuration key.
///
/// # Errors
/// [`ListenError`].
pub fn bind(
    key: &'static str,
    listen: &Listen,
    sharing: Sharing<'_>,
    inherited: &mut Inherited,
) -> Result<Vec<Listener>, ListenError> {
    let error = |source: io::Error| ListenError::Bind {
        key,
        listen: listen.clone(),
        hint: match (source.kind(), sharing, listen) {
            (io::ErrorKind::AddrInUse, Sharing::Replicas(database), Listen::Tcp(_)) => format!(
                ". Only replicas of {} may share this port, and another process listens there: another program, \
                 daybook with another database, or daybook 0.1. Stop it, or set {key} to another port",
                database.display()
            ),
            (io::ErrorKind::AddrInUse, ..) => {
                format!(". Another process listens there: stop it, or set {key} to another address")
            }
            (io::ErrorKind::PermissionDenied, ..) => ": this user may not listen there".to_owned(),
            _ => String::new(),
        },
        source,
    };
    match listen {
        Listen::Tcp(address) => {
            let listening = match sharing {
                Sharing::Replicas(database) => port::listen_shared(*address, database),
                Sharing::Exclusive => port::listen(*address, false).map(|socket| (socket, None)),
            };
            let bound = listening.and_then(|(socket, lock)| accepting_tcp(socket, lock));
            Ok(vec![bound.map_err(error)?])
        }
        Listen::Unix(path) => Ok(vec![unix::bind(path).map_err(error)?]),
        Listen::Fd(name) => match inherited.0.remove(name) {
            Some(fds) => fds.into_iter().map(|fd| adopt(fd).map_err(error)).collect(),
            None => {
                let mut found: Vec<_> = inherited.0.keys().cloned().collect();
                found.sort();
                Err(ListenError::NotInherited {
                    key,
                    name: name.clone(),
                    found: found.join(", "),
                })
            }
        },
    }
}

/// Makes a listener from a socket that already listens.
fn accepting_tcp(socket: Socket, lock: Option<PortLock>) -> io::Result<Listener> {
    let listener = TcpListener::from_std(socket.into())?;
    Ok(Listener::Tcp {
        listener,
        _lock: lock,
    })
}

fn adopt(fd: OwnedFd) -> io::Result<Listener> {
    let socket = Socket::from(fd);
    if socket.r#type()? != Type::STREAM {
        return Err(io::Error::other(
            "this is not a stream socket (ListenStream=)",
        ));
    }
    match socket.domain()? {
        Domain::UNIX => {
            let address = socket.local_addr()?;
            unix::listening(socket, address.as_pathname())
        }
        _ => {
            socket.set_nonblocking(true)?;
            socket.listen(BACKLOG)?;
            accepting_tcp(socket, None)
        }
    }
}

impl Listener {
    /// Accepts one connection.
    ///
    /// # Errors
    /// accept(2)'s own.
    pub async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Tcp { listener, .. } => {
                let (stream, address) = listener.accept().await?;
                // Responses are written whole, so there is nothing to gain from Nagle's algorithm.
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Peer::Ip(address.ip())))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Peer::Unix))
            }
        }
    }
}

/// In the form of the configuration, with the actual port and, for an inherited socket, its actual address.
impl std::fmt::Display for Listener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { listener, .. } => match listener.local_addr() {
                Ok(address) => write!(formatter, "{address}"),
                Err(error) => write!(formatter, "({error})"),
            },
            Self::Unix { path, .. } => match path {
                Some(path) => write!(formatter, "unix:{}", path.display()),
                None => write!(formatter, "unix:(no path)"),
            },
        }
    }
}
