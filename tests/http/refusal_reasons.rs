//! A refusal names what is wrong with the request, in one line.

use crate::common::client::send;
use crate::common::server::Server;

/// The bytes sent, the status, and the line that the client reads.
const REFUSED: &[(&str, u16, &str)] = &[
    ("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "a bare LF"),
    (
        "G\rT / HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        "the method is malformed",
    ),
    (
        "GET  HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        "the target is malformed",
    ),
    (
        "GET /#f HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        "the target has a fragment",
    ),
    (
        "GET /\r\nHost: h\r\n\r\n",
        400,
        "the request line has no version",
    ),
    (
        "GET / HHTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        "the HTTP version is malformed",
    ),
    (
        "GET / HTTP/1.1X\nHost: h\r\n\r\n",
        400,
        "the HTTP version is malformed",
    ),
    ("GET / HTTP/1.1\rX", 400, "a bare CR after the request line"),
    ("GET / HTTP/1.1\r\n\nHost: h\r\n\r\n", 400, "a bare LF"),
    (
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        400,
        "a field line begins with white space",
    ),
    (
        "GET / HTTP/1.1\r\n: h\r\n\r\n",
        400,
        "a field without a name",
    ),
    ("GET / HTTP/1.1\r\nHost\n: h\r\n\r\n", 400, "a bare LF"),
    (
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        400,
        "white space in or after a field's name",
    ),
    (
        "GET / HTTP/1.1\r\nHost\r\n\r\n",
        400,
        "a field line without a colon",
    ),
    ("GET / HTTP/1.1\r\nHost: h\n\r\n", 400, "a bare LF"),
    (
        "GET / HTTP/1.1\r\nHost: x%4g\r\n\r\n",
        400,
        "the Host is malformed",
    ),
    (
        "GET / HTTP/1.1\r\nHost: x%g4\r\n\r\n",
        400,
        "the Host is malformed",
    ),
];

/// A chunked body, sent behind a sound head, and the line that the client reads.
const REFUSED_BODIES: &[(&str, &str)] = &[
    // One byte in the place of the CR, then one in that of the LF.
    (
        "5\r\nhelloX\n0\r\n\r\n",
        "a chunk does not end where its size says",
    ),
    (
        "5\r\nhello\rX0\r\n\r\n",
        "a chunk does not end where its size says",
    ),
    ("5\r\nhello\r\n0\rX", "a bare CR in a chunk's size line"),
];

#[test]
fn the_response_to_a_refused_head_says_what_is_wrong() {
    let server = Server::start();
    for (request, status, reason) in REFUSED {
        let response = send(server.addr(), request);
        let found = (response.status, response.text().trim_end());
        assert_eq!(found, (*status, *reason), "{request:?}");
    }
}

#[test]
fn the_response_to_a_refused_chunked_body_says_what_is_wrong() {
    let server = Server::start();
    for (body, reason) in REFUSED_BODIES {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        let response = send(server.addr(), format!("{head}{body}"));
        let found = (response.status, response.text().trim_end());
        assert_eq!(found, (400, *reason), "{body:?}");
    }
}

#[test]
fn a_chunks_size_line_may_have_as_many_bytes_as_a_line() {
    let server = Server::with(|c| {
        c.set("http.line_bytes_max", 100);
    });
    for chunks_before in ["", "1\r\nx\r\n"] {
        let with_extension = |length| {
            let extension = "e".repeat(length - "0;".len());
            let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
            let body = format!("{chunks_before}0;{extension}\r\n\r\n");
            send(server.addr(), format!("{head}{body}"))
        };
        assert_eq!(with_extension(100).status, 200, "{chunks_before:?}");
        let refused = with_extension(101);
        let found = (refused.status, refused.text().trim_end());
        assert_eq!(found, (400, "a chunk's size line is too long"));
    }
}

#[test]
fn the_longest_head_that_can_be_allowed_passes_as_a_target_and_as_a_field() {
    const HEAD_BYTES: usize = 65_535;
    let server = Server::with(|c| {
        c.set("http.line_bytes_max", HEAD_BYTES - 1)
            .set("http.head_bytes_max", HEAD_BYTES);
    });
    let with = |request: &str| {
        let filling = "a".repeat(HEAD_BYTES - request.len());
        send(
            server.addr(),
            request.replacen('/', &format!("/{filling}"), 1),
        )
    };
    assert_eq!(with("GET / HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
    let name = "n".repeat(HEAD_BYTES - "GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n".len());
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{name}: v\r\n\r\n");
    assert_eq!(send(server.addr(), request).status, 200);
}
