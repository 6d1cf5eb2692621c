//! What passes and what is refused, row by row; each row in one piece and in pieces of 1, 3 and 7 bytes. Here whole
//! messages and bodies; `line_table_tests` and `field_table_tests` have the heads.

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
    closing_timeout: Duration::from_secs(1),
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
                Step::Head { head, body } => {
                    pass = head as u64 + body;
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
pub(super) enum Want {
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

pub(super) fn check(bytes: &[u8], want: Want) {
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
fn a_chunked_body_is_refused_where_two_readers_could_disagree() {
    let rows: &[(&[u8], Want)] = &[
        (b"0\r\n\r\n", Pass(1)),
        (b"000\r\n\r\n", Pass(1)),
        (b"5\r\nhello\r\n0\r\n\r\n", Pass(1)),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", Pass(1)),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", Pass(1)),
        (b"5;a\r\nhello\r\n0;b\r\n\r\n", Pass(1)),
        (b"5; a=\"b;c\";d\r\nhello\r\n0\r\n\r\n", Pass(1)),
        (b"5 ;a=b\r\nhello\r\n0\t;a=b\r\n\r\n", Pass(1)),
        (
            b"5\t ; \ta = \tb\t; c ;d= \"e\"\r\nhello\r\n0\r\n\r\n",
            Pass(1),
        ),
        (
            b"5;a=\"\";b=\"\\\"\\\\;\xe9\t\"\r\nhello\r\n0\r\n\r\n",
            Pass(1),
        ),
        (
            b"5;a=\"b\" ;!#$%&'*+-.^_`|~09=x\r\nhello\r\n0\r\n\r\n",
            Pass(1),
        ),
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
        (b"5 5\r\n", Body(400)),
        (b"5 a\r\n", Body(400)),
        (b"5 =a\r\n", Body(400)),
        (b" ;a\r\n", Body(400)),
        (b"5_0\r\n", Body(400)),
        (b"5,\r\n", Body(400)),
        (b";a\r\n", Body(400)),
        (b"5;\r\n", Body(400)),
        (b"5; \r\n", Body(400)),
        (b"5;;a\r\n", Body(400)),
        (b"5;a;\r\n", Body(400)),
        (b"5;a \r\n", Body(400)),
        (b"5;a=\r\n", Body(400)),
        (b"5;a= \r\n", Body(400)),
        (b"5;a=;b\r\n", Body(400)),
        (b"5;a==b\r\n", Body(400)),
        (b"5;a=b=c\r\n", Body(400)),
        (b"5;a=b \r\n", Body(400)),
        (b"5;a=b c\r\n", Body(400)),
        (b"5;a b c\r\n", Body(400)),
        (b"5;a,b\r\n", Body(400)),
        (b"5;bad[=x\r\n", Body(400)),
        (b"5;\"a\"=b\r\n", Body(400)),
        (b"5;a=b\xe9\r\n", Body(400)),
        (b"5;a=\"\r\n", Body(400)),
        (b"5;a=\"b\\\"\r\n", Body(400)),
        (b"5;a=\"b\\\r\n", Body(400)),
        (b"5;a=\"b\0\"\r\n", Body(400)),
        (b"5;a=\"b\\\x7f\"\r\n", Body(400)),
        (b"5;a=\"b\"c\r\n", Body(400)),
        (b"5;a=b\"c\"\r\n", Body(400)),
        (b"5;a=\"b\" \r\n", Body(400)),
        (b"5;a=\"b\nc\"\r\n", Body(400)),
        (b"5 \n", Body(400)),
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
    // All of what is too long is the method.
    check(long(60).as_bytes(), Open);
    check(long(61).as_bytes(), Bare(501));
    check((long(61) + " / HTTP/1.1\r\n").as_bytes(), Bare(501));
    check((long(57) + " / HTTP/1.1\r\n").as_bytes(), Bare(414));
    let short_heads = Limits {
        head_bytes_max: 40,
        ..LIMITS
    };
    let refused = |line: String| run(short_heads, [line.as_bytes()]).refused;
    assert_eq!(refused(long(40)), Some((501, None)));
    assert_eq!(refused(format!("GET /{}", long(35))), Some((414, None)));
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
