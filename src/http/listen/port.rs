//! A TCP port that the replicas of one database share, and nobody else.
//!
//! With SO_REUSEPORT the kernel lets every process of the same user in, whatever it serves. So a replica first binds
//! alone. Where the port is taken, it shares it only if another replica of its database listens there: each holds a
//! shared lock on `requests.db.port-ADDR-PORT` for as long as it listens.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use socket2::{Domain, Protocol, Socket, Type};

use super::BACKLOG;

/// Says that a process of this database listens at an address. To be dropped after the socket: while the port is taken,
/// others are to see by whom.
pub struct PortLock {
    _file: File,
}

/// Listens at `address`, together with other replicas of `database`.
///
/// # Errors
/// The file system's own, or the kernel's; `AddrInUse` where somebody else has the port.
pub(super) fn listen_shared(
    address: SocketAddr,
    database: &Path,
) -> io::Result<(Socket, Option<PortLock>)> {
    if address.port() == 0 {
        // A new port each time, which nobody else can know beforehand.
        return Ok((listen(address, false)?, None));
    }
    // One replica after the other: whoever holds the lock of a port listens there.
    let _turn = wait_for_turn(database)?;
    let file = open(&lock_path(database, address))?;
    let is_first = try_lock(&file)?;
    retry_interrupted(|| file.lock_shared())?;
    let lock = Some(PortLock { _file: file });
    match listen(address, false) {
        Ok(socket) => {
            // Only now, when the kernel has seen that nobody else listens: two databases that start at once cannot both
            // come here.
            socket.set_reuse_port(true)?;
            Ok((socket, lock))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if is_first && !is_shared_by_another_address(database, address)? {
                return Err(error);
            }
            Ok((listen(address, true)?, lock))
        }
        Err(error) => Err(error),
    }
}

/// Listens; alone, unless `shared`.
pub(super) fn listen(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Else a restart would have to wait for the last connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Here, too, the kernel says whether somebody else listens: both may have bound before either listened.
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Lets the replicas of a database bind one after the other, until the file is closed. A record lock, of which the write
/// lock on the same file knows nothing (that is an `flock`): a replica that is stuck in a commit keeps nobody waiting.
fn wait_for_turn(database: &Path) -> io::Result<File> {
    let file = open(&beside(database, ".lock"))?;
    rustix::io::retry_on_intr(|| rustix::fs::fcntl_lock(&file, FlockOperation::LockExclusive))?;
    Ok(file)
}

/// Whether this database is served at the same port of an address that includes this one, or is included in it.
fn is_shared_by_another_address(database: &Path, address: SocketAddr) -> io::Result<bool> {
    let own = lock_path(database, address);
    let directory = database.parent().unwrap_or(Path::new("."));
    for entry in directory.read_dir()? {
        let path = entry?.path();
        let is_other = address_of_lock(database, &path).is_some_and(|other| {
            path != own && other.port() == address.port() && overlap(other.ip(), address.ip())
        });
        if is_other && !try_lock(&open(&path)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a port of the one cannot be had while somebody has that of the other. `::` takes IPv4, too.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    let covers =
        |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    one == other || covers(one, other) || covers(other, one)
}

fn lock_path(database: &Path, address: SocketAddr) -> PathBuf {
    let (ip, port) = (address.ip(), address.port());
    beside(database, &format!(".port-{ip}-{port}"))
}

/// The address in the name of a port's lock.
fn address_of_lock(database: &Path, path: &Path) -> Option<SocketAddr> {
    let prefix = beside(database, ".port-");
    let name = path.to_str()?.strip_prefix(prefix.to_str()?)?;
    let (ip, port) = name.rsplit_once('-')?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Never unlinked: a process that has it open would then hold a lock nobody else sees.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Takes the lock, if nobody has it.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn retry_interrupted(mut lock: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_where_the_kernel_would_refuse_the_second() {
        let is_taken = |first: &str, second: &str| {
            let at = |ip: &str, port| SocketAddr::new(ip.parse().expect("an address"), port);
            let first = listen(at(first, 0), false).expect("a free port");
            let port = first.local_addr().expect("its address").as_socket();
            let port = port.expect("an IP address").port();
            listen(at(second, port), false).is_err()
        };
        for (one, other) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.2"),
            ("0.0.0.0", "127.0.0.1"),
            ("::", "127.0.0.1"),
            ("::", "0.0.0.0"),
            ("::", "::1"),
            ("::1", "127.0.0.1"),
            ("::1", "0.0.0.0"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
        ] {
            let expected = is_taken(one, other);
            let addresses = [one, other].map(|ip| ip.parse().expect("an address"));
            assert_eq!(
                overlap(addresses[0], addresses[1]),
                expected,
                "{one} {other}"
            );
            assert_eq!(
                overlap(addresses[1], addresses[0]),
                expected,
                "{other} {one}"
            );
        }
    }

    #[test]
    fn the_name_of_a_lock_reads_back() {
        let database = Path::new("/data/requests.db");
        for address in ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:1"] {
            let address = address.parse().expect("an address");
            let path = lock_path(database, address);
            assert_eq!(address_of_lock(database, &path), Some(address));
        }
        for path in [
            "/data/other.db.port-127.0.0.1-8080",
            "/data/requests.db.port-x-1",
            "/data/requests.db",
        ] {
            assert_eq!(address_of_lock(database, Path::new(path)), None);
        }
    }
}
