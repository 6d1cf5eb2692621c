//! `daybook healthcheck`: 0 is healthy, 1 is not, and there is nothing else.

use crate::common::command::daybook;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn healthcheck(address: &str) -> Option<i32> {
    daybook(
        directory().path(),
        &["healthcheck", "--address", address],
        &[],
    )
    .code
}

#[test]
fn a_ready_server_is_healthy_over_tcp_and_unix() {
    let dir = directory();
    let socket = format!("unix:{}", dir.path().join("admin.sock").display());
    for listen in ["127.0.0.1:0", &socket] {
        let server = Server::with(|c| {
            c.text("admin.listen", listen);
        });
        let address = server.admin();
        assert_eq!(healthcheck(address), Some(0), "{address}");
        // Without a flag it is the first listener of the configuration that can be reached by its name.
        let several = format!("[\"fd:admin\", \"unix:*.sock\", {address:?}]");
        for configured in [address, &several] {
            let run = daybook(
                dir.path(),
                &["healthcheck"],
                &[("DAYBOOK_ADMIN__LISTEN", configured)],
            );
            assert_eq!(run.code, Some(0), "{configured}: {}", run.stderr);
        }
    }
}

#[test]
fn a_draining_server_is_not_ready_but_lives() {
    let server = Server::with(|c| {
        c.text("shutdown.drain_delay", "30s");
    });
    assert_eq!(healthcheck(server.admin()), Some(0));
    server.signal("TERM");
    eventually("it is unready", TIMEOUT, || {
        server.get_admin("/readyz").status == 503
    });
    let run = daybook(
        directory().path(),
        &["healthcheck", "--address", server.admin()],
        &[],
    );
    assert_eq!(run.code, Some(1));
    assert!(
        run.error_line().contains("drain"),
        "it does not say why: {}",
        run.stderr
    );
    let run = daybook(
        directory().path(),
        &["healthcheck", "--live", "--address", server.admin()],
        &[],
    );
    assert_eq!((run.code, &*run.stdout), (Some(0), "alive\n"));
}

#[test]
fn a_server_that_is_not_there_is_not_healthy() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|s| s.local_addr());
    let address = free.expect("a free port").to_string();
    let run = daybook(
        directory().path(),
        &["healthcheck", "--address", &address],
        &[],
    );
    assert_eq!(run.code, Some(1));
    assert!(run.error_line().contains(&address), "{}", run.stderr);
    assert_eq!(healthcheck("unix:/nowhere/admin.sock"), Some(1));
}

#[test]
fn a_server_that_does_not_answer_is_not_healthy() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address").to_string();
    for arguments in [&["healthcheck"][..], &["healthcheck", "--live"]] {
        let arguments = [arguments, &["--address", &address]].concat();
        let run = daybook(directory().path(), &arguments, &[]);
        assert_eq!(run.code, Some(1), "{arguments:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_not_healthy() {
    for (arguments, environment) in [
        (&["healthcheck"][..], ("DAYBOOK_RECORD", "perhaps")),
        (&["healthcheck"], ("DAYBOOK_NONSENSE", "1")),
        (&["healthcheck"], ("DAYBOOK_ADMIN__LISTEN", "fd:admin")),
        (&["healthcheck", "--config", "nowhere.toml"], ("A", "b")),
    ] {
        let run = daybook(directory().path(), arguments, &[environment]);
        assert_eq!(run.code, Some(1), "{arguments:?}: {}", run.stderr);
        assert!(!run.error_line().is_empty());
    }
}
