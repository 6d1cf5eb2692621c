//! The limit of open files: raised where that is allowed, respected where it is not, never at the operator's cost.

use crate::common::client::Client;
use crate::common::server::{Server, fails_to_start};
use crate::common::{TIMEOUT, eventually};
use serde_json::Value;

fn with_limits(soft: u32, hard: u32, connections_max: u32) -> Server {
    Server::with(|c| {
        c.set("http.connections_max", connections_max)
            .through(&["prlimit", &format!("--nofile={soft}:{hard}")]);
    })
}

fn idle_clients(server: &Server, count: usize) -> Vec<Client> {
    (0..count).map(|_| Client::connect(server.addr())).collect()
}

/// The line of the log that says that there are too few descriptors.
fn warning(server: &Server) -> Option<Value> {
    let lines = server.log();
    let mut lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect(line));
    lines.find(|line| line["open_files_max"].is_number())
}

#[test]
fn an_ordinary_shells_soft_limit_is_raised() {
    let server = with_limits(64, 1000, 200);
    let _idle = idle_clients(&server, 150);
    eventually("all of them are served", TIMEOUT, || {
        server.metric("daybook_connections", &[]) == 150.0
    });
    assert_eq!(server.get("/one-more").status, 200);
    assert_eq!(warning(&server), None);
}

#[test]
fn a_limit_that_is_too_low_is_said_with_its_numbers_and_keeps_the_operator_a_place() {
    let server = with_limits(500, 500, 10_000);
    let warning = warning(&server).expect("a warning");
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["open_files_max"], 500);
    let number = |name: &str| warning[name].as_u64().expect("a number") as usize;
    let connections_max = number("connections_max");
    assert_eq!(number("open_files_wanted") - 10_000, 500 - connections_max);
    let mut served = idle_clients(&server, connections_max);
    eventually("all of them are served", TIMEOUT, || {
        server.metric("daybook_connections", &[]) == connections_max as f64
    });
    // More clients than there are descriptors in all.
    let mut waiting = idle_clients(&server, 600);
    eventually("one of them waits", TIMEOUT, || {
        server.metric("daybook_accept_waits_total", &[]) > 0.0
    });
    served[0].send("GET /served HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(served[0].response().status, 200);
    assert_eq!(server.get_admin("/readyz").status, 200);
    assert_eq!(server.get_admin("/requests/1").json()["path"], "/served");
    waiting[0].send("GET /waited HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(waiting[0].is_silent());
    drop(served);
    assert_eq!(waiting[0].response().status, 200);
    assert!(
        !server.log().contains("could not be accepted"),
        "{}",
        server.log()
    );
}

#[test]
fn where_nobody_could_be_served_it_does_not_start() {
    let failure = fails_to_start(|c| {
        c.through(&["prlimit", "--nofile=100:100"]);
    });
    assert_eq!(failure.code, Some(78), "{}", failure.stderr);
    for words in ["the limit of open files is 100", "LimitNOFILE="] {
        assert!(failure.stderr.contains(words), "{}", failure.stderr);
    }
}
