//! The operator's side against pages in a browser: which hosts it is, and for whom.

use crate::common::client::{Response, send};
use crate::common::server::{Server, fails_to_start};

const PATHS: [&str; 5] = ["/metrics", "/livez", "/readyz", "/requests", "/nothing"];

fn ask(address: &str, path: &str, fields: &str) -> Response {
    send(
        address,
        format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n"),
    )
}

fn ask_as(server: &Server, host: &str) -> Response {
    ask(server.admin(), "/livez", &format!("Host: {host}\r\n"))
}

#[test]
fn a_name_that_is_not_known_is_misdirected() {
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
            let response = ask(server.admin(), path, &format!("Host: {host}\r\n"));
            response.assert_problem(421);
            assert!(response.contains("admin.hosts"));
        }
    }
    // The target wins over the field.
    let absolute =
        "GET http://rebound.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    send(server.admin(), absolute).assert_problem(421);
}

#[test]
fn localhost_and_addresses_are_known() {
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
        assert_eq!(ask_as(&server, host).status, 200, "{host}");
    }
    // No browser leaves it out.
    let without = send(server.admin(), "GET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(without.status, 200);
}

#[test]
fn names_of_the_configuration_are_known() {
    let server = Server::with(|c| {
        c.set("admin.hosts", r#"["Replicas", "daybook.internal"]"#);
    });
    for host in ["replicas", "REPLICAS:9100", "daybook.internal"] {
        assert_eq!(ask_as(&server, host).status, 200, "{host}");
    }
    ask_as(&server, "other").assert_problem(421);
}

#[test]
fn a_name_with_a_port_is_no_name() {
    for name in ["replicas:9100", "", "http://replicas", "*"] {
        let failure = fails_to_start(|c| {
            c.set("admin.hosts", format!("[{name:?}]"));
        });
        assert_eq!(failure.code, Some(78), "{}", failure.stderr);
        assert!(failure.stderr.contains("admin.hosts"), "{}", failure.stderr);
    }
}

#[test]
fn a_unix_socket_is_asked_by_any_name() {
    let server = Server::with(|c| {
        let socket = format!("unix:{}", c.path("admin.sock").display());
        c.text("admin.listen", socket);
    });
    assert_eq!(ask_as(&server, "operator.example").status, 200);
}

#[test]
fn a_page_of_another_site_is_refused_and_may_read_nothing() {
    let server = Server::with(|c| {
        let socket = format!("unix:{}", c.path("admin.sock").display());
        c.set("admin.listen", format!("[\"127.0.0.1:0\", {socket:?}]"));
    });
    for address in server.admin_listen() {
        for path in PATHS {
            let fields = "Host: localhost\r\nOrigin: https://page.example\r\n";
            let response = ask(
                address,
                path,
                &format!("{fields}Sec-Fetch-Site: cross-site\r\n"),
            );
            response.assert_problem(403);
            // An old browser does not say so; it asks whether the page may read.
            let response = ask(address, path, fields);
            let cors = |(name, _): &(String, String)| name.starts_with("access-control-");
            assert!(!response.headers.iter().any(cors), "{}", response.head);
        }
        for site in ["same-origin", "same-site", "none"] {
            let fields = format!("Host: localhost\r\nSec-Fetch-Site: {site}\r\n");
            assert_eq!(ask(address, "/livez", &fields).status, 200, "{site}");
        }
    }
}
