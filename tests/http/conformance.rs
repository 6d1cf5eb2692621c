//! Conformance to HTTP/1.1 over a real socket: which requests are accepted, refused and recorded. Each raw request of the
//! table is sent in one piece and byte by byte.

mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::client::{Client, get, send};
use crate::common::server::Server;
use crate::common::{TIMEOUT, db, eventually};
use table::{ACCEPTED, ACCEPTED_AND_CLOSED, Case, PROBE, REFUSED, REFUSED_UNRECORDED, Recorded};

#[test]
fn accepted_requests_are_echoed_and_recorded() {
    run(ACCEPTED);
}

#[test]
fn the_last_request_of_a_connection_is_echoed_and_the_connection_closes() {
    run(ACCEPTED_AND_CLOSED);
}

#[test]
fn malformed_requests_are_refused_and_recorded() {
    run(REFUSED);
}

#[test]
fn requests_with_a_malformed_method_or_target_are_refused_and_not_recorded() {
    run(REFUSED_UNRECORDED);
}

/// Runs every case, whole and byte by byte, then lists those that failed.
fn run(cases: &[Case]) {
    let server = Server::start();
    let mut failed = Vec::new();
    for case in cases {
        for size in [case.request.len(), 1] {
            println!("{} (in pieces of {size})", case.name);
            if catch_unwind(AssertUnwindSafe(|| check(&server, case, size))).is_err() {
                failed.push((case.name, size));
            }
        }
    }
    assert!(
        failed.is_empty(),
        "failed cases, with the size of the pieces: {failed:#?}"
    );
}

fn check(server: &Server, case: &Case, size: usize) {
    let connection = server.db();
    let rows_before = db::count(&connection);
    let mut client = Client::connect(server.addr());
    // The server may refuse and close before the last byte is sent.
    let sent = client.send_in_pieces(case.request, size);
    let method = if case.request.starts_with(b"HEAD ") {
        "HEAD"
    } else {
        "GET"
    };
    let response = client.response_to(method);
    assert_eq!(response.status, case.status, "{}", response.head);

    let rows = db::count(&connection) - rows_before;
    let row = response.record_id().map(|id| server.row(id));
    assert_eq!(
        rows,
        i64::from(row.is_some()),
        "a row if and only if the response has a record-id: {}",
        response.head
    );
    match (&case.recorded, &row) {
        (Recorded::As(method, path), Some(row)) => {
            assert_eq!((&*row.method, &*row.path), (*method, *path));
        }
        (Recorded::No, None) | (Recorded::Unspecified, _) => (),
        (Recorded::No, Some(row)) => panic!("recorded: {row:?}"),
        (Recorded::As(..), None) => panic!("no record-id: {}", response.head),
    }

    if response.status == 200 {
        sent.expect("sending");
        let length = case.body.len();
        assert_eq!(
            response.header("content-length"),
            Some(&*length.to_string())
        );
        assert_eq!(
            response.text(),
            if method == "HEAD" { "" } else { case.body }
        );
        assert_eq!(
            row.expect("its row").content_length,
            i64::try_from(length).expect("a length")
        );
    } else {
        assert!(
            !response.contains(PROBE),
            "the response contains bytes of the request: {response:?}"
        );
        assert_eq!(response.header("connection"), Some("close"));
    }

    if case.closes {
        assert_eq!(
            client.read_to_end().expect("an orderly end"),
            b"",
            "nothing after the response"
        );
        assert_eq!(
            db::count(&connection),
            rows_before + rows,
            "and no further row"
        );
    } else {
        client.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
        let next = client.response();
        assert_eq!((next.status, next.text()), (200, ""));
        assert_eq!(server.row(next.record_id().expect("its id")).path, "/next");
    }
}

#[test]
fn the_response_is_the_requests_own_body_as_plain_text() {
    let server = Server::start();
    let every_byte: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let mut request = b"POST /bytes HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n".to_vec();
    request.extend_from_slice(&every_byte);
    let response = send(server.addr(), request);
    assert_eq!(response.status, 200);
    assert_eq!(response.body, every_byte);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("content-length"), Some("5000"));
    let row = server.row(response.record_id().expect("its id"));
    assert_eq!(
        (row.method.as_str(), row.path.as_str(), row.content_length),
        ("POST", "/bytes", 5000)
    );
    assert_eq!(row.remote_addr.as_deref(), Some("127.0.0.1"));
}

#[test]
fn the_response_to_head_has_the_same_headers_and_no_body() {
    let server = Server::start();
    let send_with = |method: &str| {
        send(
            server.addr(),
            format!("{method} /same HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
        )
    };
    let (head, get) = (send_with("HEAD"), send_with("GET"));
    assert_eq!(get.text(), "hello");
    let constant_headers = |response: &crate::common::client::Response| {
        let mut headers = response.headers.clone();
        headers.retain(|(name, _)| name != "record-id" && name != "date");
        headers.sort();
        headers
    };
    assert_eq!(constant_headers(&head), constant_headers(&get));
    assert_eq!(server.row(head.record_id().expect("its id")).method, "HEAD");
}

#[test]
fn a_client_that_expects_100_continue_gets_it_before_the_response() {
    let server = Server::start();
    let expects = [
        " 100-Continue",
        "100-continue,",
        " ,\t,100-continue , ",
        " 100-continue, 100-continue",
        " 100-continue\r\nExpect: ,",
        "\r\nExpect: 100-continue",
    ];
    for expect in expects {
        let head = |length: usize| {
            format!(
                "PUT /expect HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nExpect:{expect}\r\n\r\n"
            )
        };
        let mut client = Client::connect(server.addr());
        client.send(head(5));
        let interim = client.response();
        assert_eq!((interim.status, interim.record_id()), (100, None));
        client.send("hello");
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "hello"));
        // A body that is too large is refused before any 100 Continue.
        client.send(head(99_999_999));
        assert_eq!(client.response().status, 413);
    }
}

#[test]
fn pipelined_requests_get_responses_in_order() {
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    let request = |n: i64| {
        let body = format!("body {n}");
        format!(
            "POST /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    client.send((0..50).map(request).collect::<String>());
    for n in 0..50 {
        let response = client.response();
        assert_eq!(
            (response.status, response.text()),
            (200, &*format!("body {n}"))
        );
        assert_eq!(
            server.row(response.record_id().expect("its id")).path,
            format!("/{n}")
        );
    }
}

#[test]
fn requests_after_a_refused_one_are_not_served() {
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    client.send(
        "GET /first HTTP/1.1\r\nHost: h\r\n\r\nGET /second HTTP/1.1\r\n\r\nGET /third HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 400);
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    assert_eq!(server.rows(), 2);
}

#[test]
fn a_client_that_shuts_down_its_sending_side_still_gets_its_response() {
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    client.send("POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    client.shut_down_sending();
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "hello"));
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
}

#[test]
fn an_incomplete_request_is_not_recorded() {
    let server = Server::start();
    // An incomplete head is refused. After an incomplete body the connection closes without a response.
    for (part, status) in [
        ("\r\n", None),
        ("GET", Some(400)),
        ("GET /cut HTTP/1.1\r\n", Some(400)),
        ("GET /cut HTTP/1.1\r\nHost: h\r\n", Some(400)),
        (
            "POST /cut HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello",
            None,
        ),
        (
            "POST /cut HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            None,
        ),
        (
            "POST /cut HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n",
            None,
        ),
    ] {
        let mut client = Client::connect(server.addr());
        client.send(part);
        client.shut_down_sending();
        let response = client.next_response("GET");
        let found = response.as_ref().map(|response| response.status);
        assert_eq!(found, status, "{part:?}");
        let record_id = response.as_ref().and_then(|response| response.record_id());
        assert_eq!(record_id, None, "{part:?}");
        assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    }
    assert_eq!(get(server.addr(), "/after").status, 200);
    assert_eq!(server.rows(), 1);
}

#[test]
fn a_client_that_is_refused_and_sends_on_reads_its_response() {
    let server = Server::start();
    let starts = [
        "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx",
    ];
    for start in starts {
        let mut client = Client::connect(server.addr());
        client.send(start);
        client.send(vec![b'x'; 10_000_000]);
        client.shut_down_sending();
        assert_eq!(client.response().status, 400, "{start:?}");
        assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    }
}

#[test]
fn responses_are_counted_by_status() {
    let server = Server::start();
    let request =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    for target in ["/", "/a", "not-a-path"] {
        send(server.addr(), request(target));
    }
    server.wait_for_responses(200, 2);
    server.wait_for_responses(400, 1);
    eventually("every duration is observed", TIMEOUT, || {
        server.metric("daybook_request_duration_seconds_count", &[]) >= 2.0
    });
}
