//! The client address of a row: the peer's, or what a trusted proxy says.

use std::net::TcpListener;

use crate::common::client::send;
use crate::common::server::Server;

/// The `remote_addr` that is recorded for a request to `address` with these X-Forwarded-For lines.
fn recorded_address(server: &Server, address: &str, lines: &[&str]) -> Option<String> {
    let lines: String = lines
        .iter()
        .map(|line| format!("X-Forwarded-For: {line}\r\n"))
        .collect();
    let response = send(
        address,
        format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}Connection: close\r\n\r\n"),
    );
    assert_eq!(response.status, 200, "{}", response.head);
    server
        .row(response.record_id().expect("its id"))
        .remote_addr
}

fn check(server: &Server, cases: &[(&[&str], &str)]) {
    for (lines, expected) in cases {
        assert_eq!(
            recorded_address(server, server.addr(), lines).as_deref(),
            Some(*expected),
            "{lines:?}"
        );
    }
}

/// As [`check`], on a server with these trusted proxies.
fn check_behind(trusted_proxies: &str, cases: &[(&[&str], &str)]) {
    let server = Server::with(|c| {
        c.set("trusted_proxies", trusted_proxies);
    });
    check(&server, cases);
}

#[test]
fn x_forwarded_for_is_ignored_without_trusted_proxies() {
    let server = Server::start();
    check(
        &server,
        &[
            (&[], "127.0.0.1"),
            (&["203.0.113.7"], "127.0.0.1"),
            (&["127.0.0.1", "::1"], "127.0.0.1"),
        ],
    );
}

#[test]
fn x_forwarded_for_from_outside_the_trusted_networks_is_ignored() {
    let server = Server::with(|c| {
        c.set(
            "trusted_proxies",
            r#"["10.0.0.0/8", "unix", "127.0.0.2/32"]"#,
        );
    });
    check(&server, &[(&["203.0.113.7"], "127.0.0.1")]);
}

#[test]
fn x_forwarded_for_from_a_trusted_proxy_is_read_from_the_right() {
    let server = Server::with(|c| {
        c.set(
            "trusted_proxies",
            r#"["127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"]"#,
        );
    });
    check(
        &server,
        &[
            (&[], "127.0.0.1"),
            (&["203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7, 10.1.2.3"], "203.0.113.7"),
            (&["203.0.113.7,10.1.2.3,127.9.9.9"], "203.0.113.7"),
            (&["198.51.100.1,\t203.0.113.7 , 10.1.2.3"], "203.0.113.7"),
            (&["203.0.113.7, 2001:db8:1::5"], "203.0.113.7"),
            (&["2001:db8:2::5, 2001:db8:1::5"], "2001:db8:2::5"),
            (&["2001:DB8:2:0::5"], "2001:db8:2::5"),
        ],
    );
}

#[test]
fn several_lines_of_x_forwarded_for_are_one_list() {
    check_behind(
        r#"["127.0.0.0/8", "10.0.0.0/8"]"#,
        &[
            (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7", "10.0.0.1"], "203.0.113.7"),
            (
                &["198.51.100.1, 203.0.113.7", "10.0.0.1, 10.0.0.2"],
                "203.0.113.7",
            ),
        ],
    );
}

#[test]
fn an_address_may_have_a_port_brackets_and_a_zone() {
    check_behind(
        r#"["127.0.0.0/8", "10.0.0.0/8"]"#,
        &[
            (&["203.0.113.9:51234"], "203.0.113.9"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (
                &["198.51.100.1, 203.0.113.9:1, 10.0.0.1:65535"],
                "203.0.113.9",
            ),
            (&["[2001:db8::1]:0, [::ffff:10.0.0.1]:80"], "2001:db8::1"),
            (&["[::ffff:203.0.113.9]:80"], "203.0.113.9"),
            // A valid address, even if its end was meant as a port.
            (&["2001:db8::1:443"], "2001:db8::1:443"),
            // A zone has a meaning only on the proxy, and is dropped.
            (&["fe80::1%eth0"], "fe80::1"),
            (&["[fe80::1%25]:443"], "fe80::1"),
        ],
    );
}

#[test]
fn empty_members_are_skipped() {
    check_behind(
        r#"["127.0.0.0/8", "10.0.0.0/8"]"#,
        &[
            (&["203.0.113.9,"], "203.0.113.9"),
            (&["203.0.113.9, \t,"], "203.0.113.9"),
            (&[",203.0.113.9,,10.0.0.1"], "203.0.113.9"),
            (&["203.0.113.9", ""], "203.0.113.9"),
            (&["203.0.113.9", ",", "10.0.0.1"], "203.0.113.9"),
            (&["", " , "], "127.0.0.1"),
            (&["unknown,"], "127.0.0.1"),
        ],
    );
}

#[test]
fn a_malformed_entry_ends_the_search_at_the_last_valid_address() {
    check_behind(
        r#"["127.0.0.0/8", "10.0.0.0/8"]"#,
        &[
            (&["unknown"], "127.0.0.1"),
            (&["203.0.113.7, unknown"], "127.0.0.1"),
            (&["203.0.113.7, unknown, 10.0.0.9"], "10.0.0.9"),
            (&["203.0.113.7, 10.0.0.300, 10.0.0.9, 10.0.0.8"], "10.0.0.9"),
            (&["unknown, 203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7, caf\u{e9}"], "127.0.0.1"),
            (&["203.0.113.7, 10.0.0.9:"], "127.0.0.1"),
            (&["203.0.113.7, 10.0.0.9:65536"], "127.0.0.1"),
            (&["203.0.113.7, 10.0.0.9:+80"], "127.0.0.1"),
            (&["203.0.113.7, 10.0.0.9:80:80"], "127.0.0.1"),
            (&["203.0.113.7, 10.0.0.9%eth0"], "127.0.0.1"),
            (&["203.0.113.7, [10.0.0.9]"], "127.0.0.1"),
            (&["203.0.113.7, [10.0.0.9]:80"], "127.0.0.1"),
            (&["203.0.113.7, [2001:db8::1"], "127.0.0.1"),
            (&["203.0.113.7, 2001:db8::1]"], "127.0.0.1"),
            (&["203.0.113.7, [2001:db8::1]443"], "127.0.0.1"),
            (&["203.0.113.7, [2001:db8::1]:"], "127.0.0.1"),
            (&["203.0.113.7, [2001:db8::1]:https"], "127.0.0.1"),
            (&["203.0.113.7, [2001:db8::1%]:443"], "127.0.0.1"),
            (&["203.0.113.7, 2001:db8::1%eth 0"], "127.0.0.1"),
            (&["203.0.113.7, 2001:db8::1%"], "127.0.0.1"),
            (&["203.0.113.7, \"10.0.0.9\""], "127.0.0.1"),
            (&["203.0.113.7, 10.0.0.9 10.0.0.8"], "127.0.0.1"),
        ],
    );
}

#[test]
fn if_all_addresses_are_trusted_the_leftmost_is_recorded() {
    check_behind(
        r#"["127.0.0.0/8", "10.0.0.0/8"]"#,
        &[
            (&["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            (&["10.0.0.1", "10.0.0.2, 127.0.0.5"], "10.0.0.1"),
        ],
    );
}

#[test]
fn an_ipv4_mapped_ipv6_address_is_recorded_as_ipv4() {
    check_behind(
        r#"["127.0.0.0/8", "10.0.0.0/8"]"#,
        &[
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7, ::ffff:10.0.0.1"], "203.0.113.7"),
            (&["::FFFF:cb00:7107"], "203.0.113.7"),
        ],
    );
}

#[test]
fn an_ipv4_client_of_an_ipv6_listener_is_recorded_as_ipv4() {
    match TcpListener::bind("[::]:0") {
        Ok(_) => (),
        Err(e)
            if matches!(
                e.raw_os_error(),
                Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
            ) =>
        {
            eprintln!("skipped: this machine has no IPv6");
            return;
        }
        Err(e) => panic!("binding an address of IPv6: {e}"),
    }
    let server = Server::with(|c| {
        c.text("listen", "[::]:0")
            .text("trusted_proxies", "127.0.0.0/8");
    });
    let port = server.addr().rsplit(':').next().expect("a port");
    let address = format!("127.0.0.1:{port}");
    assert_eq!(
        recorded_address(&server, &address, &[]).as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(
        recorded_address(&server, &address, &["203.0.113.7"]).as_deref(),
        Some("203.0.113.7")
    );
    let address = format!("[::1]:{port}");
    assert_eq!(
        recorded_address(&server, &address, &["203.0.113.7"]).as_deref(),
        Some("::1")
    );
}

/// A server on a unix socket.
fn on_unix(trusted_proxies: &str) -> Server {
    Server::with(|c| {
        let socket = c.path("public.sock");
        c.text("listen", format!("unix:{}", socket.display()))
            .set("trusted_proxies", trusted_proxies);
    })
}

#[test]
fn a_bare_unix_socket_has_no_address() {
    let server = on_unix(r#"["127.0.0.0/8", "0.0.0.0/0"]"#);
    assert_eq!(recorded_address(&server, server.addr(), &[]), None);
    assert_eq!(
        recorded_address(&server, server.addr(), &["203.0.113.7"]),
        None
    );
}

#[test]
fn x_forwarded_for_over_a_trusted_unix_socket_is_used() {
    let server = on_unix(r#"["unix", "10.0.0.0/8"]"#);
    let address_for = |lines: &[&str]| recorded_address(&server, server.addr(), lines);
    assert_eq!(address_for(&[]), None);
    assert_eq!(
        address_for(&["203.0.113.7"]).as_deref(),
        Some("203.0.113.7")
    );
    assert_eq!(
        address_for(&["203.0.113.7, 10.0.0.1"]).as_deref(),
        Some("203.0.113.7")
    );
    assert_eq!(address_for(&["10.0.0.1"]).as_deref(), Some("10.0.0.1"));
    assert_eq!(
        address_for(&["203.0.113.7, unknown, 10.0.0.1"]).as_deref(),
        Some("10.0.0.1")
    );
    assert_eq!(address_for(&["203.0.113.7, unknown"]), None);
}

#[test]
fn a_refused_request_is_recorded_with_its_clients_address() {
    let on_tcp = Server::with(|c| {
        c.set("trusted_proxies", r#"["127.0.0.0/8"]"#);
    });
    let on_unix = on_unix(r#"["unix"]"#);
    let untrusted = Server::start();
    let xff = "X-Forwarded-For: 198.51.100.1\r\nx-forwarded-for:  203.0.113.7 \r\n";
    let refused = [
        (
            413,
            format!("POST / HTTP/1.1\r\nHost: h\r\n{xff}Content-Length: 99999999\r\n\r\n"),
        ),
        (
            417,
            format!("GET / HTTP/1.1\r\nExpect: x\r\n{xff}Host: h\r\n\r\n"),
        ),
        (
            501,
            format!("POST / HTTP/1.1\r\n{xff}Host: h\r\nTransfer-Encoding: x, chunked\r\n\r\n"),
        ),
        (
            400,
            format!("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n{xff}\r\n"),
        ),
        // Refused after these lines: they count. Later lines do not.
        (
            400,
            format!("GET / HTTP/1.1\r\n{xff}Bad : x\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"),
        ),
        (
            400,
            format!("GET / HTTP/1.1\r\n{xff}X-Forwarded-For: 203.0.113.9\n\r\n"),
        ),
    ];
    for (status, request) in &refused {
        for (server, address) in [
            (&on_tcp, "203.0.113.7"),
            (&on_unix, "203.0.113.7"),
            (&untrusted, "127.0.0.1"),
        ] {
            let response = send(server.addr(), request);
            assert_eq!(response.status, *status, "{request}");
            let row = server.row(response.record_id().expect("its id"));
            assert_eq!(row.remote_addr.as_deref(), Some(address), "{request}");
        }
    }
    // The same rules as for accepted requests.
    for lines in [
        "203.0.113.7:51234",
        "[2001:db8::1]:443,",
        "203.0.113.7\r\nX-Forwarded-For: ,",
    ] {
        let response = send(
            on_tcp.addr(),
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: {lines}\r\n\r\n"),
        );
        let row = on_tcp.row(response.record_id().expect("its id"));
        let wanted = if lines.starts_with('[') {
            "2001:db8::1"
        } else {
            "203.0.113.7"
        };
        assert_eq!(
            (response.status, row.remote_addr.as_deref()),
            (400, Some(wanted))
        );
    }
    // Refused before any field was read.
    let response = send(on_tcp.addr(), format!("GET / HTTP/2.0\r\n{xff}\r\n"));
    let row = on_tcp.row(response.record_id().expect("its id"));
    assert_eq!(
        (response.status, row.remote_addr.as_deref()),
        (505, Some("127.0.0.1"))
    );
}
