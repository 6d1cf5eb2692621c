//! A TCP port that only the replicas of one database share.
//!
//! With SO_REUSEPORT the kernel lets every process of the same user share a port, whatever it serves. So a replica first
//! binds exclusively. If the port is in use, it shares the port only if another replica of its database listens there:
//! each replica holds a shared lock on `requests.db.port-ADDR-PORT` while it listens.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::io::retry_on_intr;
use socket2::{Domain, Protocol, Socket, Type};

use super::BACKLOG;
use crate::lock_file;
use crate::store::beside;

/// Shows that a replica of this database listens at an address. Drop it after the socket, so that the owner of a port in
/// use is always visible.
pub struct PortLock {
    _file: File,
}

/// Listens at `address`, together with other replicas of `database`.
///
/// # Errors
/// Those of the file system and the kernel; `AddrInUse` if a process listens there that is no replica of `database`.
pub(super) fn listen_shared(
    address: SocketAddr,
    database: &Path,
) -> io::Result<(Socket, Option<PortLock>)> {
    if address.port() == 0 {
        // The kernel picks a free port, which no other replica can know beforehand.
        return Ok((listen(address, false)?, None));
    }
    // One replica at a time: so a process that holds the lock of a port also listens there.
    let _bind_lock = lock_for_binding(database)?;
    let file = open(&lock_path(database, address))?;
    let is_first = lock_file::try_lock(&file)?;
    retry_on_intr(|| flock(&file, FlockOperation::LockShared))?;
    let lock = Some(PortLock { _file: file });
    match listen(address, false) {
        Ok(socket) => {
            // Only after the exclusive bind: two databases that start at once cannot both get here.
            socket.set_reuse_port(true)?;
            Ok((socket, lock))
        }
        Err(error) if is_first && !is_shared_by_another_address(database, address)? => Err(error),
        // A replica of this database has it. Another error comes again.
        Err(_) => Ok((listen(address, true)?, lock)),
    }
}

/// Listens, exclusively unless `shared`.
pub(super) fn listen(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Otherwise a restart would wait for old connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // This also fails if another process listens: both may bind before either listens.
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Lets only one replica of a database bind at a time, until the file is closed. This record lock is independent of the
/// write lock on the same file, which is an `flock`: a replica that is stuck in a commit blocks no start.
fn lock_for_binding(database: &Path) -> io::Result<File> {
    let file = open(&beside(database, ".lock"))?;
    retry_on_intr(|| fcntl_lock(&file, FlockOperation::LockExclusive))?;
    Ok(file)
}

/// Whether a replica of this database listens on the same port of an overlapping address.
fn is_shared_by_another_address(database: &Path, address: SocketAddr) -> io::Result<bool> {
    let own = lock_path(database, address);
    let directory = database.parent().unwrap_or(Path::new("."));
    for entry in directory.read_dir()? {
        let path = entry?.path();
        let is_other = address_of_lock(database, &path).is_some_and(|other| {
            path != own && other.port() == address.port() && overlap(other.ip(), address.ip())
        });
        if is_other && !lock_file::try_lock(&open(&path)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a port cannot be bound at one address while it is in use at the other. `::` includes IPv4.
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

/// The address in the file name of a port lock.
fn address_of_lock(database: &Path, path: &Path) -> Option<SocketAddr> {
    let prefix = beside(database, ".port-");
    let name = path.to_str()?.strip_prefix(prefix.to_str()?)?;
    let (ip, port) = name.rsplit_once('-')?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

/// The error names the path, which the user did not write.
fn open(path: &Path) -> io::Result<File> {
    lock_file::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_if_the_kernel_refuses_to_bind_the_second() {
        let is_refused = |first: &str, second: &str| {
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
            let expected = is_refused(one, other);
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
    fn the_address_can_be_read_from_the_name_of_a_lock() {
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
