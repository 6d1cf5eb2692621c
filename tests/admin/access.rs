//! The admin listener refuses requests that a web page in the operator's browser could make.

use crate::common::client::{Response, send};
use crate::common::server::{Server, fails_to_start};

const PATHS: [&str; 5] = ["/metrics", "/livez", "/readyz", "/requests", "/nothing"];

fn get(address: &str, path: &str, fields: &str) -> Response {
    send(
        address,
        format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n"),
    )
}

fn get_livez(server: &Server, host: &str) -> Response {
    get(server.admin(), "/livez", &format!("Host: {host}\r\n"))
}

#[test]
fn an_unknown_host_gets_421() {
    let server = Server::start();
    for path in PATHS {
        for host in [
            "rebound.example",
            "rebound.example:9100",
            "localhost.example",
            "replicas",
            "127.0.0.1.example",
        ] {
            println!("{path} {host}");
            let response = get(server.admin(), path, &format!("Host: {host}\r\n"));
            response.assert_problem(421);
            assert!(response.contains("admin.hosts"));
        }
    }
    // In absolute form the target wins over the header.
    let absolute =
        "GET http://rebound.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    send(server.admin(), absolute).assert_problem(421);
}

#[test]
fn localhost_and_addresses_are_allowed() {
    let server = Server::start();
    for host in [
        "localhost",
        "LocalHost:9100",
        "127.0.0.1",
        "127.0.0.1:9100",
        "192.0.2.1",
        "[::1]",
        "[2001:db8::1]:9100",
    ] {
        assert_eq!(get_livez(&server, host).status, 200, "{host}");
    }
    // Browsers always send a Host.
    let without = send(server.admin(), "GET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(without.status, 200);
}

#[test]
fn hosts_in_admin_hosts_are_allowed() {
    let server = Server::with(|c| {
        c.set("admin.hosts", r#"["Replicas", "daybook.internal"]"#);
    });
    for host in ["replicas", "REPLICAS:9100", "daybook.internal"] {
        assert_eq!(get_livez(&server, host).status, 200, "{host}");
    }
    get_livez(&server, "other").assert_problem(421);
}

#[test]
fn admin_hosts_refuses_anything_but_a_name() {
    for name in ["replicas:9100", "", "http://replicas", "*"] {
        let failure = fails_to_start(|c| {
            c.set("admin.hosts", format!("[{name:?}]"));
        });
        assert_eq!(failure.code, Some(78), "{}", failure.stderr);
        assert!(failure.stderr.contains("admin.hosts"), "{}", failure.stderr);
    }
}

#[test]
fn a_unix_socket_accepts_any_host() {
    let server = Server::with(|c| {
        let socket = format!("unix:{}", c.path("admin.sock").display());
        c.text("admin.listen", socket);
    });
    assert_eq!(get_livez(&server, "operator.example").status, 200);
}

#[test]
fn a_cross_site_request_is_refused_without_cors_headers() {
    let server = Server::with(|c| {
        let socket = format!("unix:{}", c.path("admin.sock").display());
        c.set("admin.listen", format!("[\"127.0.0.1:0\", {socket:?}]"));
    });
    for address in server.admin_listen() {
        for path in PATHS {
            let fields = "Host: localhost\r\nOrigin: https://page.example\r\n";
            let response = get(
                address,
                path,
                &format!("{fields}Sec-Fetch-Site: cross-site\r\n"),
            );
            response.assert_problem(403);
            // An old browser sends no Sec-Fetch-Site; without CORS headers the page cannot read the response.
            let response = get(address, path, fields);
            let cors = |(name, _): &(String, String)| name.starts_with("access-control-");
            assert!(!response.headers.iter().any(cors), "{}", response.head);
        }
        for site in ["same-origin", "same-site", "none"] {
            let fields = format!("Host: localhost\r\nSec-Fetch-Site: {site}\r\n");
            assert_eq!(get(address, "/livez", &fields).status, 200, "{site}");
        }
    }
}

#[test]
fn a_link_on_another_site_opens_the_console_and_nothing_else() {
    let server = Server::start();
    let from = |path: &str, target: &str| {
        let fields = "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n";
        get(
            server.admin(),
            path,
            &format!("{fields}Sec-Fetch-Dest: {target}\r\n"),
        )
    };
    assert_eq!(from("/?status=5xx", "document").status, 200);
    // In a frame of the other site, or as a script.
    for target in ["iframe", "script", "empty"] {
        from("/", target).assert_problem(403);
    }
    for path in ["/api/requests", "/console/main.js", "/metrics"] {
        from(path, "document").assert_problem(403);
    }
}
