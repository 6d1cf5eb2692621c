//! Each kind of listener, several at once, and listeners that cannot be bound.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::common::client::get;
use crate::common::server::{Failure, Server, fails_to_start};

/// A port in use, by a socket that does not share it.
fn port_in_use() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    (listener, address)
}

fn assert_error(failure: &Failure, code: i32, words: &[&str]) {
    assert_eq!(failure.code, Some(code), "{}", failure.stderr);
    for word in words {
        assert!(
            failure.stderr.contains(word),
            "{word} is not in:\n{}",
            failure.stderr
        );
    }
}

#[test]
fn a_tcp_listener_on_port_0_responds_on_the_port_in_the_log() {
    let server = Server::start();
    assert!(
        server.addr().starts_with("127.0.0.1:") && !server.addr().ends_with(":0"),
        "{}",
        server.addr()
    );
    assert_eq!(server.get("/tcp").status, 200);
    assert_eq!(server.get_admin("/livez").status, 200);
}

#[test]
fn listeners_of_several_kinds_respond_at_once() {
    let server = Server::with(|c| {
        let socket = format!("unix:{}", c.path("public.sock").display());
        c.set(
            "listen",
            format!("[\"127.0.0.1:0\", \"127.0.0.1:0\", {socket:?}]"),
        );
    });
    assert_eq!(server.listen().len(), 3);
    assert_ne!(server.listen()[0], server.listen()[1]);
    for address in server.listen() {
        assert_eq!(get(address, "/several").status, 200, "{address}");
    }
    assert_eq!(server.rows(), 3);
}

#[test]
fn several_admin_listeners_respond_at_once() {
    let server = Server::with(|c| {
        let socket = format!("unix:{}", c.path("admin.sock").display());
        c.set("admin.listen", format!("[{socket:?}, \"127.0.0.1:0\"]"));
    });
    assert!(server.admin().starts_with("unix:"), "{}", server.admin());
    assert_eq!(server.get_admin("/readyz").status, 200);
}

#[test]
fn an_admin_port_in_use_is_an_error() {
    let (_owner, address) = port_in_use();
    let failure = fails_to_start(|c| {
        c.text("admin.listen", &address);
    });
    let remedy = "stop it, or set admin.listen to another address";
    assert_error(&failure, 1, &[&address, remedy]);
}

#[test]
fn an_admin_port_is_not_shared_between_replicas() {
    let first = Server::start();
    let failure = fails_to_start(|c| {
        c.text("admin.listen", first.admin());
    });
    assert_error(&failure, 1, &[first.admin(), "admin.listen"]);
}

#[test]
fn a_public_port_in_use_by_an_exclusive_socket_is_an_error() {
    let (_owner, address) = port_in_use();
    let failure = fails_to_start(|c| {
        c.text("listen", &address);
    });
    assert_error(&failure, 1, &[&address, "listen"]);
}

/// A listening TCP socket and a listening unix socket, with their addresses.
fn tcp_and_unix(dir: &Path) -> ((OwnedFd, String), (OwnedFd, String)) {
    let (tcp, address) = port_in_use();
    let path = dir.join("inherited.sock");
    let unix = UnixListener::bind(&path).expect("a unix socket");
    (
        (tcp.into(), address),
        (unix.into(), format!("unix:{}", path.display())),
    )
}

#[test]
fn inherited_sockets_are_distinguished_by_name_in_any_order() {
    for reversed in [false, true] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ((tcp, address), (unix, path)) = tcp_and_unix(dir.path());
        let server = Server::with(|c| {
            c.text("listen", "fd:web").text("admin.listen", "fd:ops");
            let (sockets, names) = if reversed {
                ([unix, tcp], "ops:web")
            } else {
                ([tcp, unix], "web:ops")
            };
            c.inherit(sockets, names);
        });
        let response = get(&address, "/inherited");
        assert_eq!(
            server.row(response.record_id().expect("its id")).path,
            "/inherited"
        );
        let metrics = get(&path, "/metrics");
        assert!(
            metrics.text().contains("daybook_ready"),
            "{}",
            metrics.text()
        );
    }
}

#[test]
fn a_public_unix_socket_can_be_inherited() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ((tcp, address), (unix, path)) = tcp_and_unix(dir.path());
    let server = Server::with(|c| {
        c.set("listen", r#"["fd:a", "fd:b"]"#)
            .inherit([tcp, unix], "a:b");
    });
    for address in [&address, &path] {
        assert_eq!(get(address, "/inherited").status, 200);
    }
    assert_eq!(server.rows(), 2);
}

#[test]
fn a_name_that_was_not_inherited_is_a_configuration_error() {
    let failure = fails_to_start(|c| {
        c.text("listen", "fd:web");
    });
    assert_error(&failure, 78, &["web", "listen"]);

    let dir = tempfile::tempdir().expect("a temporary directory");
    let ((tcp, _), (unix, _)) = tcp_and_unix(dir.path());
    let failure = fails_to_start(|c| {
        c.text("listen", "fd:web").inherit([tcp, unix], "wob:ops");
    });
    assert_error(&failure, 78, &["web", "listen"]);
}

#[test]
fn sockets_meant_for_another_process_are_not_used() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ((tcp, _), (unix, _)) = tcp_and_unix(dir.path());
    let failure = fails_to_start(|c| {
        c.text("listen", "fd:web")
            .inherit_as([tcp, unix], "web:ops", "1");
    });
    assert_error(&failure, 78, &["web"]);
}
