//! A public TCP port belongs to one database: only its replicas share it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use crate::common::client::{Client, get};
use crate::common::config::Config;
use crate::common::locks::{lock_file, waits_for_a_lock};
use crate::common::process::Process;
use crate::common::server::{Server, fails_to_start};
use crate::common::{TIMEOUT, eventually};
use rustix::fs::FlockOperation;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

static PORTS: AtomicU16 = AtomicU16::new(8080);

/// An address that no other test uses: a loopback address for this process, a port for each call.
fn unused_address() -> String {
    let [a, b, c, d] = std::process::id().to_be_bytes();
    assert_eq!(a, 0, "process numbers have 22 bits");
    format!("127.{}.{c}.{d}:{}", b + 1, unused_port())
}

fn unused_port() -> u16 {
    PORTS.fetch_add(1, Ordering::Relaxed)
}

/// A port that is free on every address.
fn port_of_all_addresses() -> u16 {
    let listener = std::net::TcpListener::bind("[::]:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The path of a database in a directory that outlives the servers.
fn database(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn listening_on(database: &Path, address: &str) -> impl FnOnce(&mut Config) {
    let (database, address) = (database.to_owned(), address.to_owned());
    move |c| {
        c.text("database.path", database.display())
            .text("listen", address);
    }
}

fn responses(server: &Server) -> f64 {
    server.metric("daybook_requests_total", &[("code", "200")])
}

/// A replica of `database` cannot start at `address`.
fn assert_refused(database: &Path, address: &str) {
    let failure = fails_to_start(listening_on(database, address));
    assert_eq!(failure.code, Some(1), "{}", failure.stderr);
    for words in [
        format!("listen = \"{address}\": "),
        format!("Only replicas of {} may share", database.display()),
        "set listen to another port".to_owned(),
    ] {
        assert!(
            failure.stderr.contains(&words),
            "{words}: {}",
            failure.stderr
        );
    }
}

#[test]
fn the_replicas_of_one_database_share_a_port() {
    let (dir, address) = (directory(), unused_address());
    let path = database(&dir, "shared.db");
    let replicas = [(); 2].map(|()| Server::with(listening_on(&path, &address)));
    eventually("both have responded", TIMEOUT, || {
        assert_eq!(get(&address, "/shared").status, 200);
        replicas.iter().all(|server| responses(server) > 0.0)
    });
}

#[test]
fn replicas_of_another_database_are_refused_without_disturbing_the_first() {
    let (dir, address) = (directory(), unused_address());
    let first = Server::with(listening_on(&database(&dir, "first.db"), &address));
    let other = database(&dir, "other.db");
    assert_refused(&other, &address);
    for n in 1..=10 {
        assert_eq!(get(&address, "/first").record_id(), Some(n));
    }
    drop(first);
    let second = Server::with(listening_on(&other, &address));
    assert_eq!(second.get("/other").record_id(), Some(1));
}

#[test]
fn a_port_that_another_program_shares_is_not_used() {
    let (dir, address) = (directory(), unused_address());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option");
    socket.set_reuse_port(true).expect("an option");
    let at: std::net::SocketAddr = address.parse().expect("an address");
    socket.bind(&at.into()).expect("binding");
    socket.listen(1).expect("listening");
    assert_refused(&database(&dir, "requests.db"), &address);
}

/// A replica, and whether it became ready.
struct Started {
    _process: Process,
    _dir: TempDir,
    database: PathBuf,
    is_ready: bool,
    log: String,
}

/// Starts a replica on each of these databases at once.
fn start_at_once(databases: &[PathBuf], address: &str) -> Vec<Started> {
    let begin = |database: &PathBuf| {
        let mut config = Config::new();
        listening_on(database, address)(&mut config);
        let (mut process, log, dir) = config.spawn();
        let database = database.clone();
        thread::spawn(move || {
            let is_ready = eventually("it has started, or failed to", TIMEOUT * 2, || {
                let is_ready = log.text().contains(r#""message":"ready""#);
                (is_ready || process.exit_status().is_some()).then_some(is_ready)
            });
            Started {
                _process: process,
                _dir: dir,
                database,
                is_ready,
                log: log.text(),
            }
        })
    };
    let starting: Vec<_> = databases.iter().map(begin).collect();
    let join = |thread: thread::JoinHandle<Started>| thread.join().expect("no panic");
    starting.into_iter().map(join).collect()
}

#[test]
fn replicas_that_start_at_once_all_get_the_port() {
    let dir = directory();
    let path = database(&dir, "shared.db");
    for _ in 0..4 {
        let address = unused_address();
        for started in start_at_once(&vec![path.clone(); 8], &address) {
            assert!(started.is_ready, "{}", started.log);
        }
    }
}

/// Otherwise two replicas that find the port in use by another program could each take the other for its owner.
#[test]
fn replicas_of_one_database_bind_one_after_the_other() {
    let (dir, address) = (directory(), unused_address());
    let path = database(&dir, "shared.db");
    let first = Server::with(listening_on(&path, &address));
    // The lock that a replica holds while it binds. It is independent of the write lock.
    let lock = File::options()
        .write(true)
        .open(lock_file(&path))
        .expect("the lock file");
    rustix::fs::fcntl_lock(&lock, FlockOperation::LockExclusive).expect("locking");
    let mut config = Config::new();
    listening_on(&path, &address)(&mut config);
    let (process, log, _dir) = config.spawn();
    eventually("the second waits for its turn", TIMEOUT, || {
        waits_for_a_lock(process.id())
    });
    assert_eq!(first.get("/").status, 200, "it is no write lock");
    drop(lock);
    eventually("the second is ready", TIMEOUT, || {
        log.text().contains(r#""message":"ready""#)
    });
}

#[test]
fn of_two_databases_that_start_at_once_one_gets_the_port() {
    let dir = directory();
    let paths = ["a.db", "b.db"].map(|name| database(&dir, name));
    for _ in 0..4 {
        let address = unused_address();
        let databases: Vec<_> = paths.iter().cloned().cycle().take(6).collect();
        let started = start_at_once(&databases, &address);
        let mut owners: Vec<_> = started
            .iter()
            .filter(|started| started.is_ready)
            .map(|started| &started.database)
            .collect();
        assert_eq!(owners.len(), 3, "all of one database and none of the other");
        owners.dedup();
        assert_eq!(owners.len(), 1);
    }
}

#[test]
fn a_port_is_free_at_once_when_its_owner_stops_listening() {
    let (dir, address) = (directory(), unused_address());
    let path = database(&dir, "first.db");
    let mut first = Server::with(listening_on(&path, &address));
    // The server closes this connection first, which leaves it in TIME_WAIT.
    assert_eq!(get(&address, "/").status, 200);
    // And this one stays open until the process ends.
    let mut busy = Client::connect(&address);
    busy.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
    eventually("it is being read", TIMEOUT, || {
        first.metric("daybook_requests_in_flight", &[]) > 0.0
    });
    first.signal("TERM");
    eventually("it accepts no more", TIMEOUT, || {
        std::net::TcpStream::connect(&address).is_err()
    });
    // No replica of its database listens any more, although the process still runs.
    let other = Server::with(listening_on(&database(&dir, "other.db"), &address));
    assert_refused(&path, &address);
    busy.send("x");
    assert_eq!(busy.response().status, 200);
    assert!(first.wait_exit(TIMEOUT).success());
    assert_eq!(other.get("/").record_id(), Some(1));
}

#[test]
fn overlapping_addresses_on_one_port_can_be_used_together() {
    let dir = directory();
    let path = database(&dir, "shared.db");
    let port = port_of_all_addresses();
    // In one process, and in another.
    let server = Server::with(|c| {
        c.text("database.path", path.display());
        c.set("listen", format!("[\"0.0.0.0:{port}\", \"[::]:{port}\"]"));
    });
    let local = format!("127.0.0.1:{port}");
    let second = Server::with(listening_on(&path, &local));
    assert_eq!(get(&local, "/").status, 200);
    assert_eq!(get(&format!("[::1]:{port}"), "/").status, 200);
    assert_refused(&database(&dir, "other.db"), &local);
    drop((server, second));
}

#[test]
fn port_0_is_not_shared_and_has_no_lock() {
    let server = Server::start();
    let locks = fs::read_dir(server.dir()).expect("its directory");
    for entry in locks {
        let name = entry.expect("an entry").file_name();
        assert!(!name.to_string_lossy().contains("port"), "{name:?}");
    }
}

#[test]
fn a_replica_joins_after_the_first_one_has_left() {
    let (dir, address) = (directory(), unused_address());
    let path = database(&dir, "shared.db");
    let first = Server::with(listening_on(&path, &address));
    let second = Server::with(listening_on(&path, &address));
    drop(first);
    let third = Server::with(listening_on(&path, &address));
    eventually("the remaining two have responded", TIMEOUT, || {
        assert_eq!(get(&address, "/shared").status, 200);
        responses(&second) > 0.0 && responses(&third) > 0.0
    });
}
