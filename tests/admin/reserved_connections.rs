//! `/livez`, `/readyz` and `/metrics` have connections of their own.

use crate::common::client::{Client, Response};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

/// Admin connections that serve every path.
const COMMON: usize = 240;

/// On a connection of its own, which the client would keep.
fn get(admin: &str, path: &str) -> Response {
    let mut client = Client::connect(admin);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    client.response()
}

#[test]
fn readers_that_keep_their_connections_do_not_make_a_replica_look_dead() {
    let server = Server::start();
    let readers: Vec<Client> = (0..COMMON)
        .map(|_| {
            let mut client = Client::connect(server.admin());
            client.send("GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(client.response().status, 200);
            client
        })
        .collect();
    // More often than there are reserved connections: each ends after its response.
    for _ in 0..30 {
        for path in ["/livez", "/readyz", "/metrics"] {
            let response = get(server.admin(), path);
            assert_eq!(response.status, 200, "{path}");
            assert!(response.closes_connection(), "{path}");
        }
    }
    for path in ["/api/state", "/requests", "/nowhere"] {
        let response = get(server.admin(), path);
        response.assert_problem(503);
        assert!(response.closes_connection() && response.header("retry-after").is_some());
    }
    drop(readers);
    eventually("a reader finds a free connection", TIMEOUT, || {
        get(server.admin(), "/api/state").status == 200
    });
}
