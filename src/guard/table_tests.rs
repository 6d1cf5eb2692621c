//! What passes and what is refused, row by row; each row in one piece and in pieces of 1, 3 and 7 bytes.

use std::time::Duration;

use bytes::{Buf, BytesMut};

use super::Limits;
use super::framing::{Framing, Step};

pub(super) const LIMITS: Limits = Limits {
    line_bytes_max: 60,
    head_bytes_max: 200,
    fields_max: 5,
    body_bytes_max: 100,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    write_timeout: Duration::from_secs(30),
};

/// What became of a connection's bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// For hyper.
    pub bytes: Vec<u8>,
    /// Heads that passed.
    pub passed: usize,
    /// Status, and what is recorded.
    pub refused: Option<(u16, Option<String>)>,
    pub body_refused: Option<u16>,
    /// The last message is not complete.
    pub open: bool,
}

/// Does with the framing's steps what the stream does, without a socket.
pub(super) fn run<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut framing, mut input) = (Framing::new(limits), BytesMut::new());
    let (mut outcome, mut pass) = (Outcome::default(), 0_u64);
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let count = (pass.min(input.len() as u64)) as usize;
            outcome.bytes.extend_from_slice(&input[..count]);
            input.advance(count);
            pass -= count as u64;
            if pass > 0 {
                break;
            }
            match framing.step(&mut input) {
                Step::More => break,
                Step::Head { bytes } => {
                    pass = bytes;
                    outcome.passed += 1;
                }
                Step::Chunk { line, bytes } => {
                    outcome.bytes.extend_from_slice(line.as_bytes());
                    pass = bytes;
                }
                Step::End { line } => outcome.bytes.extend_from_slice(line.as_bytes()),
                Step::Refuse { refusal, stand_in } => {
                    outcome.bytes.extend_from_slice(stand_in);
                    let recorded = refusal
                        .request
                        .map(|request| format!("{} {}", request.method, request.path));
                    outcome.refused = Some((refusal.status.as_u16(), recorded));
                }
                Step::RefuseBody(refusal) => outcome.body_refused = Some(refusal.status.as_u16()),
                Step::Over => return outcome,
            }
        }
    }
    outcome.open = pass > 0 || !framing.is_between_messages();
    outcome
}

#[derive(Clone, Copy, Debug)]
enum Want {
    /// So many complete messages.
    Pass(usize),
    /// Not complete, nothing wrong so far.
    Open,
    /// Refused without a row.
    Bare(u16),
    /// Refused with a row for this method and path.
    Row(u16, &'static str),
    Body(u16),
}
use Want::{Bare, Body, Open, Pass, Row};

fn check(bytes: &[u8], want: Want) {
    let text = bytes.escape_ascii();
    let whole = run(LIMITS, [bytes]);
    let fine = match want {
        Pass(count) => {
            whole.passed == count
                && !whole.open
                && whole.refused.is_none()
                && whole.body_refused.is_none()
        }
        Open => whole.open && whole.refused.is_none() && whole.body_refused.is_none(),
        Bare(status) => whole.refused == Some((status, None)),
        Row(status, row) => whole.refused == Some((status, Some(row.to_owned()))),
        Body(status) => whole.refused.is_none() && whole.body_refused == Some(status),
    };
    assert!(fine, "{text}: wanted {want:?}, got {whole:?}");
    for size in [1, 3, 7] {
        let cut = run(LIMITS, bytes.chunks(size));
        assert_eq!(cut, whole, "{text} in pieces of {size}");
    }
}

#[test]
fn a_request_line_is_one_method_one_target_and_one_version() {
    let rows: &[(&[u8], Want)] = &[
        (b"GET / HTTP/1.1", Pass(1)),
        (b"GET / HTTP/1.0", Pass(1)),
        (b"GET / HTTP/1.2", Pass(1)),
        (b"GET / HTTP/1.9", Pass(1)),
        (b"get / HTTP/1.1", Pass(1)),
        (b"M-SEARCH / HTTP/1.1", Pass(1)),
        (b"!#$%&'*+-.^_`|~09 / HTTP/1.1", Pass(1)),
        (b"\r\nGET / HTTP/1.1", Pass(1)),
        (b"\r\n\r\n\r\nGET / HTTP/1.1", Pass(1)),
        (b"\nGET / HTTP/1.1", Bare(400)),
        (b"\rGET / HTTP/1.1", Bare(400)),
        (b"\r\rGET / HTTP/1.1", Bare(400)),
        (b" GET / HTTP/1.1", Bare(400)),
        (b"\tGET / HTTP/1.1", Bare(400)),
        (b"\r\n GET / HTTP/1.1", Bare(400)),
        (b"GET  / HTTP/1.1", Bare(400)),
        (b"GET /  HTTP/1.1", Bare(400)),
        (b"GET / HTTP/1.1 ", Bare(400)),
        (b"GET\t/ HTTP/1.1", Bare(400)),
        (b"GET /\tHTTP/1.1", Bare(400)),
        (b"GET /\x0bHTTP/1.1", Bare(400)),
        (b"GET / a HTTP/1.1", Bare(400)),
        (b"G@T / HTTP/1.1", Bare(400)),
        (b"G\0T / HTTP/1.1", Bare(400)),
        (b"G\xc3\xa9T / HTTP/1.1", Bare(400)),
        (b"GET:/ HTTP/1.1", Bare(400)),
        (b"GET", Bare(400)),
        (b"GET /", Bare(400)),
        (b"GET / ", Bare(400)),
        (b"GET HTTP/1.1", Bare(400)),
        (b"GET / http/1.1", Bare(400)),
        (b"GET / HTTP/1", Bare(400)),
        (b"GET / HTTP/1.", Bare(400)),
        (b"GET / HTTP/1.1x", Bare(400)),
        (b"GET / HTTP/1.10", Bare(400)),
        (b"GET / HTTP/11.1", Bare(400)),
        (b"GET / HTTP/01.1", Bare(400)),
        (b"GET / HTTP/1,1", Bare(400)),
        (b"GET / HTTP/ 1.1", Bare(400)),
        (b"GET / HTTPS/1.1", Bare(400)),
        (b"GET / XTTP/1.1", Bare(400)),
        (b"GET / HTTP/1.1\r", Bare(400)),
        (b"GET / HTTP/1.1\rX", Bare(400)),
        (b"GET /a?b HTTP/2.0", Row(505, "GET /a")),
        (b"GET / HTTP/0.9", Row(505, "GET /")),
        (b"GET / HTTP/3.0", Row(505, "GET /")),
        (b"HEAD / HTTP/2.0", Row(505, "HEAD /")),
        (b"GET a HTTP/2.0", Bare(505)),
        (b"CONNECT a:1 HTTP/2.0", Row(505, "CONNECT a:1")),
        (b"PRI * HTTP/2.0", Bare(505)),
    ];
    for (line, want) in rows {
        check(&[*line, b"\r\nHost: a\r\n\r\n"].concat(), *want);
    }
}

#[test]
fn a_target_is_a_path_an_absolute_uri_or_a_star() {
    let rows: &[(&[u8], Want)] = &[
        (b"GET /a/b;c=d,e/%2F%zz?q=[1]{`}|^\\ ", Pass(1)),
        (b"GET //a/../b ", Pass(1)),
        (b"GET /? ", Pass(1)),
        (b"GET /??//?: ", Pass(1)),
        (b"GET /http://a/ ", Pass(1)),
        (b"GET http://a ", Pass(1)),
        (b"GET http://a?b ", Pass(1)),
        (b"GET hTTp://A.example:80/x?y ", Pass(1)),
        (b"GET https://[::1]:8443/ ", Pass(1)),
        (b"OPTIONS * ", Pass(1)),
        (b"OPTIONS http://a ", Pass(1)),
        (b"OPTIONS / ", Pass(1)),
        (b"GET * ", Bare(400)),
        (b"OPTIONS ** ", Bare(400)),
        (b"OPTIONS *?a ", Bare(400)),
        (b"options * ", Bare(400)),
        (b"GET a ", Bare(400)),
        (b"GET ?a ", Bare(400)),
        (b"GET a:80 ", Bare(400)),
        (b"GET ftp://a/ ", Bare(400)),
        (b"GET http:/a ", Bare(400)),
        (b"GET http://", Bare(400)),
        (b"GET http:// ", Bare(400)),
        (b"GET http:///a ", Bare(400)),
        (b"GET http://?a ", Bare(400)),
        (b"GET http://u@a/ ", Bare(400)),
        (b"GET http://u:p@a/ ", Bare(400)),
        (b"GET http://a:x/ ", Bare(400)),
        (b"GET http://a:/ ", Bare(400)),
        (b"GET http://a:99999/ ", Bare(400)),
        (b"GET http://a:1:2/ ", Bare(400)),
        (b"GET http://a%41/ ", Bare(400)),
        (b"GET http://[::1/ ", Bare(400)),
        (b"GET http://[1.2.3.4]/ ", Bare(400)),
        (b"GET /# ", Bare(400)),
        (b"GET /a?b#c ", Bare(400)),
        (b"GET http://a#b ", Bare(400)),
        (b"GET /\" ", Bare(400)),
        (b"GET /?\" ", Bare(400)),
        (b"GET /< ", Bare(400)),
        (b"GET /?> ", Bare(400)),
        (b"GET /` ", Bare(400)),
        (b"GET /\0 ", Bare(400)),
        (b"GET /\x7f ", Bare(400)),
        (b"GET /\xc3\xa9 ", Bare(400)),
        (b"GET /?\xff ", Bare(400)),
        (b"GET /a\rb ", Bare(400)),
        (b"GET /a\nb ", Bare(400)),
        (b"CONNECT a:443 ", Row(501, "CONNECT a:443")),
        (b"CONNECT [::1]:443 ", Row(501, "CONNECT [::1]:443")),
        (b"CONNECT /a?b ", Row(501, "CONNECT /a")),
        (b"CONNECT http://a ", Row(501, "CONNECT /")),
        (b"CONNECT http://a/b?c ", Row(501, "CONNECT /b")),
        (b"CONNECT a ", Bare(501)),
        (b"CONNECT a:99999 ", Bare(501)),
        (b"CONNECT * ", Bare(501)),
        (b"connect / ", Pass(1)),
    ];
    for (start, want) in rows {
        check(&[*start, b"HTTP/1.1\r\nHost: a\r\n\r\n"].concat(), *want);
    }
}

#[test]
fn a_field_line_is_a_name_a_colon_and_text() {
    let row = "POST /p";
    let rows: &[(&[u8], Want)] = &[
        (b"A: b", Pass(1)),
        (b"A:b", Pass(1)),
        (b"A:", Pass(1)),
        (b"A: \t ", Pass(1)),
        (b"A: \tb\t c ", Pass(1)),
        (b"A: \x80\xff", Pass(1)),
        (b"!#$%&'*+-.^_`|~09: b", Pass(1)),
        (b"A : b", Row(400, row)),
        (b"A\t: b", Row(400, row)),
        (b"A b: c", Row(400, row)),
        (b" A: b", Row(400, row)),
        (b"\tA: b", Row(400, row)),
        (b"A: b\r\n c", Row(400, row)),
        (b"A: b\r\n\tc", Row(400, row)),
        (b"A: b\r\n \r\nC: d", Row(400, row)),
        (b": b", Row(400, row)),
        (b"A", Row(400, row)),
        (b"A\r\nB: c", Row(400, row)),
        (b"A\0: b", Row(400, row)),
        (b"\0A: b", Row(400, row)),
        (b"A\x80: b", Row(400, row)),
        (b"A(: b", Row(400, row)),
        (b"A: b\0", Row(400, row)),
        (b"A: \x01", Row(400, row)),
        (b"A: \x0b", Row(400, row)),
        (b"A: \x1f", Row(400, row)),
        (b"A: \x7f", Row(400, row)),
        (b"A: b\nC: d", Row(400, row)),
        (b"A: b\rC: d", Row(400, row)),
        (b"A: b\r\rC: d", Row(400, row)),
        (b"A: b\r\n\rC: d", Row(400, row)),
        (b"A: b\n", Row(400, row)),
        (b"A: b\r", Row(400, row)),
        (b"\nA: b", Row(400, row)),
        (b"A: 1\r\nA: 2\r\nA: 3\r\nA: 4", Pass(1)),
        (b"A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5", Bare(431)),
        (b"Content-Length: 0", Pass(1)),
        (b"CONTENT-length: \t00 ", Pass(1)),
        (b"Content-Length:", Row(400, row)),
        (b"Content-Length: +5", Row(400, row)),
        (b"Content-Length: -1", Row(400, row)),
        (b"Content-Length: 0x5", Row(400, row)),
        (b"Content-Length: 5 5", Row(400, row)),
        (b"Content-Length: 5,5", Row(400, row)),
        (b"Content-Length: 5, 5", Row(400, row)),
        (b"Content-Length: 5.0", Row(400, row)),
        (b"Content-Length: \xb2", Row(400, row)),
        (b"Content-Length: 5\r\nContent-Length: 5", Row(400, row)),
        (b"Content-Length: 0\r\nContent-Length: 5", Row(400, row)),
        (b"Content-Length : 5", Row(400, row)),
        (b"Content-Length\x00: 5", Row(400, row)),
        (b"Content-Length: \x0b5", Row(400, row)),
        (b"Content-Length: 101", Row(413, row)),
        (
            b"Content-Length: 101\r\nExpect: 100-continue",
            Row(413, row),
        ),
        (b"Content-Length: 18446744073709551615", Row(413, row)),
        (b"Content-Length: 18446744073709551616", Row(413, row)),
        (b"Content-Length: 99999999999999999999999", Row(413, row)),
        (b"Content-Length: 101\r\nExpect: b", Row(417, row)),
        (
            b"Transfer-Encoding: chunked\r\nContent-Length: 5",
            Row(400, row),
        ),
        (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            Row(400, row),
        ),
        (
            b"Content-Length: 5\r\nTransfer-Encoding: gzip",
            Row(400, row),
        ),
        (b"Transfer-Encoding : chunked", Row(400, row)),
        (b"Transfer-Encoding\t: chunked", Row(400, row)),
        (b" Transfer-Encoding: chunked", Row(400, row)),
        (b"Transfer-Encoding\r\n : chunked", Row(400, row)),
        (b"X: y\r\n Transfer-Encoding: chunked", Row(400, row)),
        (b"X: y\nTransfer-Encoding: chunked", Row(400, row)),
        (b"X: y\rTransfer-Encoding: chunked", Row(400, row)),
        (b"Transfer-Encoding: \x0bchunked", Row(400, row)),
        (b"Transfer-Encoding: \0chunked", Row(400, row)),
        (b"Transfer-Encoding: xchunked", Row(501, row)),
        (b"Transfer-Encoding: chunked,", Row(501, row)),
        (b"Transfer-Encoding: ,chunked", Row(501, row)),
        (b"Transfer-Encoding: chunked;q=1", Row(501, row)),
        (b"Transfer-Encoding: \"chunked\"", Row(501, row)),
        (b"Transfer-Encoding: gzip, chunked", Row(501, row)),
        (b"Transfer-Encoding: chunked, gzip", Row(501, row)),
        (b"Transfer-Encoding: chunked, chunked", Row(501, row)),
        (
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Row(501, row),
        ),
        (
            b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
            Row(501, row),
        ),
        (
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            Row(501, row),
        ),
        (b"Transfer-Encoding: identity", Row(501, row)),
        (b"Transfer-Encoding: \xa0chunked", Row(501, row)),
        (b"Transfer-Encoding:", Row(501, row)),
        (b"Transfer-Encoding: gzip\r\nExpect: b", Row(501, row)),
        (b"Expect: 100-continue", Pass(1)),
        (b"expect: 100-Continue", Pass(1)),
        (b"Expect: 100", Row(417, row)),
        (b"Expect:", Row(417, row)),
        (b"Expect: 100-continue, b", Row(417, row)),
        (b"Expect: 100-continue\r\nExpect: b", Row(417, row)),
    ];
    for (lines, want) in rows {
        let head = [b"POST /p?q HTTP/1.1\r\nHost: a\r\n", *lines, b"\r\n\r\n"];
        check(&head.concat(), *want);
    }
    let chunked = b"Transfer-Encoding:\tCHUNKED \r\n\r\n0\r\n\r\n";
    let head = [&b"POST /p HTTP/1.1\r\nHost: a\r\n"[..], chunked];
    check(&head.concat(), Pass(1));
}

#[test]
fn http_1_0_needs_no_host_ignores_expect_and_has_no_transfer_coding() {
    let rows: &[(&[u8], Want)] = &[
        (b"", Pass(1)),
        (b"Host: a\r\n", Pass(1)),
        (b"Host:\r\n", Row(400, "POST /")),
        (b"Host: a\r\nHost: a\r\n", Row(400, "POST /")),
        (b"Expect: b\r\n", Pass(1)),
        (b"Transfer-Encoding: chunked\r\n", Row(400, "POST /")),
        (b"Transfer-Encoding: gzip\r\n", Row(400, "POST /")),
        (b"Content-Length: 101\r\nExpect: b\r\n", Row(413, "POST /")),
    ];
    for (lines, want) in rows {
        let head = [b"POST / HTTP/1.0\r\n", *lines, b"\r\n"];
        check(&head.concat(), *want);
    }
}

#[test]
fn a_host_is_one_name_or_address_with_or_without_a_port() {
    let good: &[&str] = &[
        "a",
        "a.example",
        "A.B.",
        "a_b~c",
        "a%41",
        "a!$&'()*+;=",
        "a:0",
        "a:65535",
        "a:00080",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:80",
        "[::ffff:1.2.3.4]",
        "\ta ",
    ];
    let bad: &[&str] = &[
        "",
        " ",
        ":80",
        "a:",
        "a:b",
        "a:99999",
        "a:65536",
        "a:000080",
        "a:-1",
        "a:+1",
        "a:1:2",
        "a b",
        "a, b",
        "a,b",
        "a/",
        "a/b",
        "u@a",
        "u:p@a",
        "a?b",
        "a#b",
        "http://a",
        "a%4",
        "a%zz",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[a]",
        "[::1]x",
        "[::1]80",
        "[::1]:",
        "[fe80::1%25lo]",
        "[v1.a]",
        "a\"b",
        "a\\b",
        "<a>",
        "[::1]:80:80",
        "a\u{e9}",
    ];
    for host in good {
        let head = format!("GET http://x/ HTTP/1.1\r\nHost:{host}\r\n\r\n");
        check(head.as_bytes(), Pass(1));
    }
    for host in bad {
        let head = format!("GET http://x/ HTTP/1.1\r\nhOST:{host}\r\n\r\n");
        check(head.as_bytes(), Row(400, "GET /"));
    }
    check(b"GET /a HTTP/1.1\r\n\r\n", Row(400, "GET /a"));
    check(b"GET http://a/b HTTP/1.1\r\n\r\n", Row(400, "GET /b"));
    check(b"OPTIONS * HTTP/1.1\r\n\r\n", Row(400, "OPTIONS *"));
    check(
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Row(400, "GET /"),
    );
    check(
        b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        Row(400, "GET /"),
    );
    check(b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", Row(400, "GET /"));
}

#[test]
fn a_chunked_body_is_refused_where_two_readers_could_disagree() {
    let rows: &[(&[u8], Want)] = &[
        (b"0\r\n\r\n", Pass(1)),
        (b"000\r\n\r\n", Pass(1)),
        (b"5\r\nhello\r\n0\r\n\r\n", Pass(1)),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", Pass(1)),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", Pass(1)),
        (b"5;a\r\nhello\r\n0;b\r\n\r\n", Pass(1)),
        (b"5; a=\"b;c\";d\t\r\nhello\r\n0\r\n\r\n", Pass(1)),
        (b"2\r\n\r\n\r\n0\r\n\r\n", Pass(1)),
        (b"0\r\nA: b\r\nContent-Length: 9\r\n\r\n", Pass(1)),
        (b"5\r\nhel", Open),
        (b"5\r\nhello\r\n", Open),
        (b"0\r\n", Open),
        (b"0\r\nA: b\r\n", Open),
        (b"\r\n", Body(400)),
        (b"x\r\n", Body(400)),
        (b"0x5\r\n", Body(400)),
        (b"+5\r\n", Body(400)),
        (b"-5\r\n", Body(400)),
        (b" 5\r\n", Body(400)),
        (b"\t5\r\n", Body(400)),
        (b"5 \r\n", Body(400)),
        (b"5\t\r\n", Body(400)),
        (b"5 ;a\r\n", Body(400)),
        (b"5 5\r\n", Body(400)),
        (b"5_0\r\n", Body(400)),
        (b"5,\r\n", Body(400)),
        (b";a\r\n", Body(400)),
        (b"5;\r\n", Body(400)),
        (b"5;=b\r\n", Body(400)),
        (b"5;a\n", Body(400)),
        (b"5;a\rb\r\n", Body(400)),
        (b"5;a\0\r\n", Body(400)),
        (b"5;a\x0b\r\n", Body(400)),
        (b"5;\ra\r\n", Body(400)),
        (b"5;a\r\r\n", Body(400)),
        (b"5\nhello\r\n", Body(400)),
        (b"5\rhello\r\n", Body(400)),
        (b"5\r\rhello\r\n", Body(400)),
        (b"5\0\r\n", Body(400)),
        (b"\xb5\r\n", Body(400)),
        (b"00000000000000005\r\n", Body(400)),
        (b"10000000000000000\r\n", Body(400)),
        (b"5\r\nhellox\r\n0\r\n\r\n", Body(400)),
        (b"5\r\nhello\n0\r\n\r\n", Body(400)),
        (b"5\r\nhello\r0\r\n\r\n", Body(400)),
        (b"5\r\nhello0\r\n\r\n", Body(400)),
        (b"5\r\nhello\r\n\r\n0\r\n\r\n", Body(400)),
        (b"0\n\n", Body(400)),
        (b"0\r\n\n", Body(400)),
        (b"0\r\n\rX", Body(400)),
        (b"0\r\nA : b\r\n\r\n", Body(400)),
        (b"0\r\nA: b\n\r\n", Body(400)),
        (b"0\r\nA: b\r\n c\r\n\r\n", Body(400)),
        (b"0\r\nA: \0\r\n\r\n", Body(400)),
        (b"0\r\nA\r\n\r\n", Body(400)),
        (b"0\r\n: b\r\n\r\n", Body(400)),
        (
            b"0\r\nA: b\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
            Body(400),
        ),
        (b"0\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n\r\n", Pass(1)),
        (b"0\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n\r\n", Body(431)),
        (b"0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Pass(2)),
        (b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n", Row(400, "GET /")),
    ];
    for (body, want) in rows {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&[head, *body].concat(), *want);
    }
}

#[test]
fn what_is_too_long_is_refused_as_soon_as_it_is() {
    let long = |bytes: usize| "a".repeat(bytes);
    let line = |bytes: usize| format!("GET /{} HTTP/1.1", long(bytes - 14));
    let end = "\r\nHost: a\r\n\r\n";
    check((line(60) + end).as_bytes(), Pass(1));
    check((line(61) + end).as_bytes(), Bare(414));
    check(&line(61).as_bytes()[..60], Open);
    check(line(61).as_bytes(), Bare(414));
    check(long(60).as_bytes(), Open);
    check(long(61).as_bytes(), Bare(414));
    check(format!("GET /?{}", long(55)).as_bytes(), Bare(414));

    let head = |bytes: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nB: {}\r\n\r\n",
            long(bytes - 32)
        )
    };
    check(head(200).as_bytes(), Pass(1));
    check(head(201).as_bytes(), Bare(431));
    check(&head(201).as_bytes()[..199], Open);
    check(&head(201).as_bytes()[..200], Bare(431));
    check(format!("\r\n{}", head(198)).as_bytes(), Pass(1));
    check(format!("\r\n{}", head(199)).as_bytes(), Bare(431));
    check("\r\n".repeat(99).as_bytes(), Pass(0));
    check("\r\n".repeat(100).as_bytes(), Bare(431));
    // The bare LF comes first.
    check(
        format!("GET / HTTP/1.1\r\n\n{}", head(300)).as_bytes(),
        Row(400, "GET /"),
    );

    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = |body: String, want| check((chunked.to_owned() + &body).as_bytes(), want);
    body(format!("1;{}\r\nx\r\n0\r\n\r\n", long(58)), Pass(1));
    body(format!("1;{}\r\nx\r\n0\r\n\r\n", long(59)), Body(400));
    body(format!("1;{}", long(59)), Body(400));
    body(format!("0\r\nA:{}\r\n\r\n", long(194)), Pass(1));
    body(format!("0\r\nA:{}\r\n\r\n", long(195)), Body(431));
    body(format!("0\r\nA:{}", long(198)), Body(431));
}

#[test]
fn messages_follow_one_another_and_bare_ends_do_not_hang() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    let rows: &[(String, Want)] = &[
        (String::new(), Pass(0)),
        ("\r".to_owned(), Pass(0)),
        ("\r\n".to_owned(), Pass(0)),
        (get.repeat(3), Pass(3)),
        (format!("{post}hello{get}"), Pass(2)),
        (format!("{post}hello\r\n{get}"), Pass(2)),
        (format!("{post}hell"), Open),
        (format!("{post}GET /{get}"), Pass(2)),
        (format!("{get}BAD\r\n\r\n"), Bare(400)),
        (
            format!("{get}{}", get.replace("Host", "Most")),
            Row(400, "GET /"),
        ),
        (get.replace("\r\n", "\n"), Bare(400)),
        (get.replace("\r\n", "\r"), Bare(400)),
        (get.replacen("\r\n\r\n", "\n\n", 1), Row(400, "GET /")),
        (get.replacen("\r\n\r\n", "\r\n\n", 1), Row(400, "GET /")),
        (get.replacen("\r\n\r\n", "\n\r\n", 1), Row(400, "GET /")),
        (get.replacen("\r\n\r\n", "\r\r\n", 1), Row(400, "GET /")),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), Bare(505)),
        ("\x16\x03\x01\x02".to_owned(), Bare(400)),
        ("GET / HTTP/1.1\r\nHost: a\r\n".to_owned(), Open),
        ("GET / HTTP/1.1\r\n".to_owned(), Open),
        ("GET / HTT".to_owned(), Open),
    ];
    for (bytes, want) in rows {
        check(bytes.as_bytes(), *want);
    }
}

#[test]
fn hyper_gets_heads_as_sent_and_chunks_without_extensions_and_trailers() {
    let sent = b"\r\nPOST /a HTTP/1.7\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        0003;x=y\r\nabc\r\n1F\r\n0123456789012345678901234567890\r\n0;z\r\nA: b\r\n\r\n";
    let got = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nabc\r\n1f\r\n0123456789012345678901234567890\r\n0\r\n\r\n";
    assert_eq!(run(LIMITS, [&sent[..]]).bytes, got);
    let refused = run(LIMITS, [&b"HEAD / HTTP/1.1\r\n\r\n"[..]]).bytes;
    assert!(refused.starts_with(b"HEAD / HTTP/1.1\r\n"));
    let refused = run(LIMITS, [&b"HEADS / HTTP/1.1\r\n\r\n"[..]]).bytes;
    assert!(refused.starts_with(b"GET / HTTP/1.1\r\n"));
}
