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

/// Connections the kernel keeps until they are accepted; it lowers this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why a listener is not there.
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
    #[error("{key} = \"fd:{name}\": no socket of that name was handed over: set FileDescriptorName={name} in the socket unit (there are: {})", if .found.is_empty() { "none" } else { .found })]
    NotInherited {
        key: &'static str,
        name: String,
        found: String,
    },
    #[error("the sockets handed over by systemd cannot be read: {0}")]
    Inherit(io::Error),
}

impl ListenError {
    /// Whether another try with the same configuration could go better.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::NotInherited { .. })
    }
}

/// Which other processes may share a TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing<'a> {
    /// The replicas of this database: the kernel spreads connections over them.
    Replicas(&'a Path),
    /// None: a port that is taken is an error. (Two admin listeners that share one bind without a word, and a scrape
    /// hits either.)
    Exclusive,
}

/// A bound listener.
pub enum Listener {
    /// TCP, with its address.
    Tcp {
        /// The socket.
        listener: TcpListener,
        /// Where replicas share the port. After the socket, for they are dropped in this order.
        _lock: Option<PortLock>,
    },
    /// A unix socket.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// Where its file is, which the kernel knows by the name it was first bound to; none where it has none.
        path: Option<PathBuf>,
    },
}

/// A connection's socket, of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Sockets handed over by systemd, by name.
#[derive(Default)]
pub struct Inherited(HashMap<String, Vec<OwnedFd>>);

impl Inherited {
    /// Takes what this process was handed (sd_listen_fds(3)). To be called once, before any thread starts.
    ///
    /// # Errors
    /// When the environment that describes them is malformed.
    pub fn take() -> Result<Self, ListenError> {
        let mut named: HashMap<String, Vec<OwnedFd>> = HashMap::new();
        // Sockets for another process are none; their names, which may be there all the same, are not ours to read.
        if sd_notify::listen_fds().map_err(ListenError::Inherit)?.len() == 0 {
            return Ok(Self(named));
        }
        for (fd, name) in sd_notify::listen_fds_with_names().map_err(ListenError::Inherit)? {
            // SAFETY: the environment says, with our own PID beside it, that this descriptor is open and ours, and
            // each number is listed once; nothing else has taken it, for this runs first.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            named.entry(name).or_default().push(fd);
        }
        Ok(Self(named))
    }
}

/// Binds one configured listener, or takes the inherited sockets of its name. `key` is where it was configured.
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
                ": another program has it, or replicas of another database or of daybook 0.1: it is shared by replicas \
                 of {} alone, so name another port, or stop those",
                database.display()
            ),
            (io::ErrorKind::AddrInUse, ..) => ": another process has it".to_owned(),
            (io::ErrorKind::PermissionDenied, ..) => ": this user may not use it".to_owned(),
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

/// Makes a listener of a socket that listens.
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
        return Err(io::Error::other("this is not a stream socket"));
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
                // Answers are written whole: waiting for more to send gains nothing.
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

/// As in the configuration, with the real port and, for an inherited socket, its real address.
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
