//! Listening on a path: permissions, and which existing files a start replaces.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

use crate::common::TIMEOUT;
use crate::common::server::{Failure, Server, fails_to_start};
use socket2::{Domain, SockAddr, Socket, Type};

fn assert_in_use(failure: &Failure, path: &Path) {
    assert_eq!(failure.code, Some(1), "{}", failure.stderr);
    for word in [&path.display().to_string(), "listen = ", "Another process"] {
        assert!(failure.stderr.contains(word), "{}", failure.stderr);
    }
    let directory = path.parent().expect("its directory");
    let name = path.file_name().expect("its name");
    assert_eq!(sockets(directory), [name.to_string_lossy()]);
}

/// The names of the sockets in a directory.
fn sockets(directory: &Path) -> Vec<String> {
    fs::read_dir(directory)
        .expect("listing")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_type().expect("its type").is_socket())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_user_may_connect_to_a_unix_socket() {
    let server = Server::with(|c| {
        let socket = c.path("public.sock");
        c.text("listen", format!("unix:{}", socket.display()));
    });
    let mode = fs::metadata(server.dir().join("public.sock"))
        .expect("its file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o666);
    assert_eq!(server.get("/unix").status, 200);
    assert_eq!(server.rows(), 1);
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let server = Server::with(|c| {
        let socket = c.path("public.sock");
        drop(UnixListener::bind(&socket).expect("a stale socket"));
        assert!(socket.exists());
        c.text("listen", format!("unix:{}", socket.display()));
    });
    assert_eq!(server.get("/unix").status, 200);
    assert_eq!(sockets(server.dir()), ["public.sock"]);
}

#[test]
fn a_socket_in_use_is_not_replaced() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("live.sock");
    let owner = UnixListener::bind(&path).expect("a socket");
    let failure = fails_to_start(|c| {
        c.text("listen", format!("unix:{}", path.display()));
    });
    assert_in_use(&failure, &path);
    // A client still reaches the owner.
    let _client = UnixStream::connect(&path).expect("connecting");
    owner.set_nonblocking(true).expect("setting non-blocking");
    owner.accept().expect("a connection for the owner");
}

#[test]
fn a_file_that_is_no_socket_is_not_replaced() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notes.txt");
    fs::write(&path, "do not delete").expect("writing a file");
    let failure = fails_to_start(|c| {
        c.text("listen", format!("unix:{}", path.display()));
    });
    assert!(matches!(failure.code, Some(1 | 78)), "{:?}", failure.code);
    assert!(failure.stderr.contains("notes.txt"), "{}", failure.stderr);
    assert_eq!(
        fs::read_to_string(&path).expect("the file"),
        "do not delete"
    );
}

#[test]
fn a_socket_whose_owner_is_stuck_is_in_use_and_delays_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("live.sock");
    let address = SockAddr::unix(&path).expect("an address");
    let socket = || Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    let owner = socket();
    owner.bind(&address).expect("binding");
    owner.listen(0).expect("listening");
    let mut waiting = Vec::new();
    loop {
        let client = socket();
        client.set_nonblocking(true).expect("setting non-blocking");
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    let failure = fails_to_start(|c| {
        c.text("listen", format!("unix:{}", path.display()));
    });
    assert_in_use(&failure, &path);
}

#[test]
fn a_socket_accepts_every_user_from_the_moment_it_appears() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("public.sock");
        let polled = path.clone();
        // Without a pause: between `bind` and `listen` there are only microseconds.
        let mode = thread::spawn(move || {
            let start = Instant::now();
            while start.elapsed() < TIMEOUT {
                match UnixStream::connect(&polled) {
                    Ok(_) => {
                        return fs::metadata(&polled)
                            .expect("its file")
                            .permissions()
                            .mode();
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                }
            }
            panic!("no socket within {TIMEOUT:?}");
        });
        let server = Server::with(|c| {
            c.text("listen", format!("unix:{}", path.display()));
        });
        assert_eq!(mode.join().expect("no error but NotFound") & 0o777, 0o666);
        drop(server);
    }
}

#[test]
fn a_path_may_be_as_long_as_a_socket_address() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let long = 107 - dir.path().as_os_str().len() - "/".len();
    let nested = format!("{}/1.sock", "d".repeat(long - "/1.sock".len()));
    for name in ["s".repeat(long), nested] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("its directory")).expect("a directory");
        let server = Server::with(|c| {
            c.text("listen", format!("unix:{}", path.display()));
        });
        assert_eq!(server.addr(), format!("unix:{}", path.display()));
        assert_eq!(server.get("/long").status, 200);
    }
}
