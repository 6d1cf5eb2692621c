//! Every limit: what hitting it is answered with, whether there is a row, and which metric counts it.

use crate::common::client::{Client, Response, send};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

/// The connection ends in order after `response`, which was refused and has no row.
fn is_refused_without_a_row(
    server: &Server,
    client: &mut Client,
    response: &Response,
    status: u16,
) {
    assert_eq!(response.status, status, "{}", response.head);
    assert_eq!(response.record_id(), None);
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    assert_eq!(server.rows(), 0);
    server.wait_for_responses(status, 1);
}

/// The connection ends in order after `response`, which was refused and has the only row.
fn is_refused_with_a_row(
    server: &Server,
    client: &mut Client,
    response: &Response,
    status: u16,
) -> i64 {
    assert_eq!(response.status, status, "{}", response.head);
    let row = server.row(response.record_id().expect("its id"));
    assert_eq!((row.method.as_str(), row.path.as_str()), ("POST", "/limit"));
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    assert_eq!(server.rows(), 1);
    server.wait_for_responses(status, 1);
    row.content_length
}

fn ask(server: &Server, request: impl AsRef<[u8]>) -> (Client, Response) {
    let mut client = Client::connect(server.addr());
    client.send(request);
    let response = client.response();
    (client, response)
}

#[test]
fn a_request_line_that_is_too_long_is_414() {
    let server = Server::with(|c| {
        c.set("http.line_bytes_max", 100);
    });
    let request = |length| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length));
    let (mut client, response) = ask(&server, request(150));
    is_refused_without_a_row(&server, &mut client, &response, 414);
    assert_eq!(ask(&server, request(70)).1.status, 200);
}

#[test]
fn a_request_line_without_end_is_414() {
    let server = Server::start();
    let (mut client, response) = ask(&server, format!("GET /{}", "a".repeat(20_000)));
    is_refused_without_a_row(&server, &mut client, &response, 414);
}

#[test]
fn a_method_that_is_too_long_is_501() {
    let server = Server::start();
    let method = "A".repeat(9_000);
    let (mut client, response) = ask(&server, format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
    is_refused_without_a_row(&server, &mut client, &response, 501);
}

#[test]
fn a_head_that_is_too_large_is_431() {
    let server = Server::with(|c| {
        c.set("http.line_bytes_max", 100)
            .set("http.head_bytes_max", 500);
    });
    let request = |length| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
            "a".repeat(length)
        )
    };
    let (mut client, response) = ask(&server, request(600));
    is_refused_without_a_row(&server, &mut client, &response, 431);
    assert_eq!(ask(&server, request(400)).1.status, 200);
}

#[test]
fn a_head_without_end_is_431() {
    let server = Server::start();
    let (mut client, response) = ask(
        &server,
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "a".repeat(50_000)),
    );
    is_refused_without_a_row(&server, &mut client, &response, 431);
}

#[test]
fn one_field_too_many_is_431() {
    let server = Server::with(|c| {
        c.set("http.fields_max", 5);
    });
    let request = |more: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "X: y\r\n".repeat(more)
        )
    };
    let (mut client, response) = ask(&server, request(5));
    is_refused_without_a_row(&server, &mut client, &response, 431);
    assert_eq!(ask(&server, request(4)).1.status, 200);
}

/// A server that takes bodies of 1000 bytes.
fn with_small_bodies() -> Server {
    Server::with(|c| {
        c.set("http.body_bytes_max", 1000);
    })
}

fn with_length(length: usize) -> String {
    format!(
        "POST /limit HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{}",
        "a".repeat(length)
    )
}

fn in_chunks(count: usize) -> String {
    let chunk = format!("64\r\n{}\r\n", "a".repeat(100));
    let chunks = chunk.repeat(count);
    format!(
        "POST /limit HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    )
}

#[test]
fn a_body_whose_length_is_too_large_is_413() {
    let server = with_small_bodies();
    let (mut client, response) = ask(&server, with_length(1001));
    assert_eq!(
        is_refused_with_a_row(&server, &mut client, &response, 413),
        0
    );
}

#[test]
fn a_body_whose_chunks_are_too_large_is_413() {
    let server = with_small_bodies();
    let (mut client, response) = ask(&server, in_chunks(11));
    assert!(is_refused_with_a_row(&server, &mut client, &response, 413) <= 1100);
}

#[test]
fn a_body_as_large_as_is_allowed_is_echoed() {
    let server = with_small_bodies();
    for request in [with_length(1000), in_chunks(10)] {
        let (_, response) = ask(&server, request);
        assert_eq!(
            (response.status, response.text()),
            (200, &*"a".repeat(1000))
        );
    }
}

#[test]
fn a_length_that_is_too_large_is_refused_before_any_100_continue() {
    let server = with_small_bodies();
    let head =
        "POST /limit HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n";
    let (mut client, response) = ask(&server, head);
    client.shut_down_sending();
    assert_eq!(
        is_refused_with_a_row(&server, &mut client, &response, 413),
        0
    );
}

#[test]
fn a_client_that_uploads_ten_megabytes_sees_its_413() {
    for chunked in [false, true] {
        let server = with_small_bodies();
        let request = if chunked {
            in_chunks(100_000)
        } else {
            with_length(10_000_000)
        };
        // All of it goes out before the response is looked at.
        let (mut client, response) = ask(&server, request);
        is_refused_with_a_row(&server, &mut client, &response, 413);
    }
}

#[test]
fn a_client_that_would_upgrade_sees_its_413_too() {
    let server = with_small_bodies();
    let request = in_chunks(100_000).replacen("Host: h\r\n", "Host: h\r\nUpgrade: x\r\n", 1);
    let (mut client, response) = ask(&server, request);
    is_refused_with_a_row(&server, &mut client, &response, 413);
    // What was answered before does not count either.
    let mut client = Client::connect(server.addr());
    client.send("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client.send(in_chunks(100_000));
    assert_eq!(client.response().status, 413);
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
}

#[test]
fn bodies_beyond_the_memory_for_all_of_them_are_503() {
    let server = Server::with(|c| {
        c.set("http.body_bytes_max", 60_000)
            .set("http.body_bytes_in_flight_max", 100_000);
    });
    let request = with_length(60_000);
    let (all_but_one, last) = request.split_at(request.len() - 1);
    let mut holder = Client::connect(server.addr());
    holder.send(all_but_one);

    // Until the server has read what the first one sent, there is room for a second.
    let mut answered = 0;
    let (mut refused, response) = eventually("a second body finds no room", TIMEOUT, || {
        let (client, response) = ask(&server, &request);
        answered += i64::from(response.status == 200);
        (response.status != 200).then_some((client, response))
    });
    assert_eq!(response.status, 503);
    // What is left of its body cannot be told from a next request.
    assert!(response.closes_connection(), "{}", response.head);
    assert_eq!(refused.read_until_closed(), b"");
    assert!(
        response
            .header("retry-after")
            .is_some_and(|s| s.parse::<u32>().is_ok()),
        "{}",
        response.head
    );
    assert_eq!(
        (
            response.record_id(),
            response.text().trim_end().lines().count()
        ),
        (None, 1)
    );
    assert_eq!(server.rows(), answered);
    server.wait_for_responses(503, 1);
    let rejected = |reason| server.metric("daybook_records_rejected_total", &[("reason", reason)]);
    assert_eq!((rejected("memory"), rejected("queue_full")), (1.0, 0.0));

    holder.send(last);
    assert_eq!(holder.response().status, 200);
    eventually("there is room again", TIMEOUT, || {
        send(server.addr(), &request).status == 200
    });
}

#[test]
fn a_connection_beyond_the_limit_is_accepted_when_another_ends() {
    let server = Server::with(|c| {
        c.set("http.connections_max", 2);
    });
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let (first, _) = ask(&server, request);
    let (mut second, _) = ask(&server, request);
    let mut third = Client::connect(server.addr());
    third.send(request);
    eventually("the wait is counted", TIMEOUT, || {
        server.metric("daybook_accept_waits_total", &[]) > 0.0
            && server.metric("daybook_connections", &[]) == 2.0
    });
    // Those that are in go on while the next one waits.
    second.send(request);
    assert_eq!(second.response().status, 200);
    assert!(
        third.is_silent(),
        "the third was answered beside two others"
    );
    drop(first);
    assert_eq!(third.response().status, 200);
}

#[test]
fn a_listener_where_nobody_calls_takes_nothing_from_the_limit() {
    let server = Server::with(|c| {
        c.set("http.connections_max", 1)
            .set("listen", r#"["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"]"#);
    });
    let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for address in server.listen().iter().rev() {
        assert_eq!(send(address, request).status, 200, "{address}");
        eventually("it has ended", TIMEOUT, || {
            server.metric("daybook_connections", &[]) == 0.0
        });
    }
    let _only = ask(&server, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        server.metric("daybook_accept_waits_total", &[]),
        0.0,
        "nobody has had to wait"
    );
}

#[test]
fn as_many_fields_as_are_allowed_pass_though_the_http_library_allows_fewer_by_itself() {
    let server = Server::with(|c| {
        c.set("http.fields_max", 200);
    });
    let fields: String = (0..199).map(|n| format!("x-{n}: v\r\n")).collect();
    let (_client, response) = ask(
        &server,
        format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"),
    );
    assert_eq!(response.status, 200);
}
