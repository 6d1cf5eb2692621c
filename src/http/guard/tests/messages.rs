//! Whole messages and chunked bodies: which are accepted, and what hyper gets.

use super::Expected::{self, Accepted, BodyRefused, Incomplete, Recorded, Unrecorded};
use super::{LIMITS, check, run};
use crate::http::guard::Limits;

#[test]
fn ambiguous_chunk_framing_is_refused() {
    let rows: &[(&[u8], Expected)] = &[
        (b"0\r\n\r\n", Accepted(1)),
        (b"000\r\n\r\n", Accepted(1)),
        (b"5\r\nhello\r\n0\r\n\r\n", Accepted(1)),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", Accepted(1)),
        (
            b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            Accepted(1),
        ),
        (b"5;a\r\nhello\r\n0;b\r\n\r\n", Accepted(1)),
        (b"5; a=\"b;c\";d\r\nhello\r\n0\r\n\r\n", Accepted(1)),
        (b"5 ;a=b\r\nhello\r\n0\t;a=b\r\n\r\n", Accepted(1)),
        (
            b"5\t ; \ta = \tb\t; c ;d= \"e\"\r\nhello\r\n0\r\n\r\n",
            Accepted(1),
        ),
        (
            b"5;a=\"\";b=\"\\\"\\\\;\xe9\t\"\r\nhello\r\n0\r\n\r\n",
            Accepted(1),
        ),
        (
            b"5;a=\"b\" ;!#$%&'*+-.^_`|~09=x\r\nhello\r\n0\r\n\r\n",
            Accepted(1),
        ),
        (b"2\r\n\r\n\r\n0\r\n\r\n", Accepted(1)),
        (b"0\r\nA: b\r\nContent-Length: 9\r\n\r\n", Accepted(1)),
        (b"5\r\nhel", Incomplete),
        (b"5\r\nhello\r\n", Incomplete),
        (b"0\r\n", Incomplete),
        (b"0\r\nA: b\r\n", Incomplete),
        (b"\r\n", BodyRefused(400)),
        (b"x\r\n", BodyRefused(400)),
        (b"0x5\r\n", BodyRefused(400)),
        (b"+5\r\n", BodyRefused(400)),
        (b"-5\r\n", BodyRefused(400)),
        (b" 5\r\n", BodyRefused(400)),
        (b"\t5\r\n", BodyRefused(400)),
        (b"5 \r\n", BodyRefused(400)),
        (b"5\t\r\n", BodyRefused(400)),
        (b"5 5\r\n", BodyRefused(400)),
        (b"5 a\r\n", BodyRefused(400)),
        (b"5 =a\r\n", BodyRefused(400)),
        (b" ;a\r\n", BodyRefused(400)),
        (b"5_0\r\n", BodyRefused(400)),
        (b"5,\r\n", BodyRefused(400)),
        (b";a\r\n", BodyRefused(400)),
        (b"5;\r\n", BodyRefused(400)),
        (b"5; \r\n", BodyRefused(400)),
        (b"5;;a\r\n", BodyRefused(400)),
        (b"5;a;\r\n", BodyRefused(400)),
        (b"5;a \r\n", BodyRefused(400)),
        (b"5;a=\r\n", BodyRefused(400)),
        (b"5;a= \r\n", BodyRefused(400)),
        (b"5;a=;b\r\n", BodyRefused(400)),
        (b"5;a==b\r\n", BodyRefused(400)),
        (b"5;a=b=c\r\n", BodyRefused(400)),
        (b"5;a=b \r\n", BodyRefused(400)),
        (b"5;a=b c\r\n", BodyRefused(400)),
        (b"5;a b c\r\n", BodyRefused(400)),
        (b"5;a,b\r\n", BodyRefused(400)),
        (b"5;bad[=x\r\n", BodyRefused(400)),
        (b"5;\"a\"=b\r\n", BodyRefused(400)),
        (b"5;a=b\xe9\r\n", BodyRefused(400)),
        (b"5;a=\"\r\n", BodyRefused(400)),
        (b"5;a=\"b\\\"\r\n", BodyRefused(400)),
        (b"5;a=\"b\\\r\n", BodyRefused(400)),
        (b"5;a=\"b\0\"\r\n", BodyRefused(400)),
        (b"5;a=\"b\\\x7f\"\r\n", BodyRefused(400)),
        (b"5;a=\"b\"c\r\n", BodyRefused(400)),
        (b"5;a=b\"c\"\r\n", BodyRefused(400)),
        (b"5;a=\"b\" \r\n", BodyRefused(400)),
        (b"5;a=\"b\nc\"\r\n", BodyRefused(400)),
        (b"5 \n", BodyRefused(400)),
        (b"5;=b\r\n", BodyRefused(400)),
        (b"5;a\n", BodyRefused(400)),
        (b"5;a\rb\r\n", BodyRefused(400)),
        (b"5;a\0\r\n", BodyRefused(400)),
        (b"5;a\x0b\r\n", BodyRefused(400)),
        (b"5;\ra\r\n", BodyRefused(400)),
        (b"5;a\r\r\n", BodyRefused(400)),
        (b"5\nhello\r\n", BodyRefused(400)),
        (b"5\rhello\r\n", BodyRefused(400)),
        (b"5\r\rhello\r\n", BodyRefused(400)),
        (b"5\0\r\n", BodyRefused(400)),
        (b"\xb5\r\n", BodyRefused(400)),
        (b"00000000000000005\r\n", BodyRefused(400)),
        (b"10000000000000000\r\n", BodyRefused(400)),
        (b"5\r\nhellox\r\n0\r\n\r\n", BodyRefused(400)),
        (b"5\r\nhello\n0\r\n\r\n", BodyRefused(400)),
        (b"5\r\nhello\r0\r\n\r\n", BodyRefused(400)),
        (b"5\r\nhello0\r\n\r\n", BodyRefused(400)),
        (b"5\r\nhello\r\n\r\n0\r\n\r\n", BodyRefused(400)),
        (b"0\n\n", BodyRefused(400)),
        (b"0\r\n\n", BodyRefused(400)),
        (b"0\r\n\rX", BodyRefused(400)),
        (b"0\r\nA : b\r\n\r\n", BodyRefused(400)),
        (b"0\r\nA: b\n\r\n", BodyRefused(400)),
        (b"0\r\nA: b\r\n c\r\n\r\n", BodyRefused(400)),
        (b"0\r\nA: \0\r\n\r\n", BodyRefused(400)),
        (b"0\r\nA\r\n\r\n", BodyRefused(400)),
        (b"0\r\n: b\r\n\r\n", BodyRefused(400)),
        (
            b"0\r\nA: b\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
            BodyRefused(400),
        ),
        (b"0\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n\r\n", Accepted(1)),
        (
            b"0\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n\r\n",
            BodyRefused(431),
        ),
        (b"0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Accepted(2)),
        (b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n", Recorded(400, "GET /")),
    ];
    for (body, expected) in rows {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&[head, *body].concat(), *expected);
    }
}

#[test]
fn a_part_that_is_too_long_is_refused_at_the_first_byte_too_many() {
    let long = |bytes: usize| "a".repeat(bytes);
    let line = |bytes: usize| format!("GET /{} HTTP/1.1", long(bytes - 14));
    let end = "\r\nHost: a\r\n\r\n";
    check((line(60) + end).as_bytes(), Accepted(1));
    check((line(61) + end).as_bytes(), Unrecorded(414));
    check(&line(61).as_bytes()[..60], Incomplete);
    check(line(61).as_bytes(), Unrecorded(414));
    // Still within the method.
    check(long(60).as_bytes(), Incomplete);
    check(long(61).as_bytes(), Unrecorded(501));
    check((long(61) + " / HTTP/1.1\r\n").as_bytes(), Unrecorded(501));
    check((long(57) + " / HTTP/1.1\r\n").as_bytes(), Unrecorded(414));
    let short_heads = Limits {
        head_bytes_max: 40,
        ..LIMITS
    };
    let refused = |line: String| run(short_heads, [line.as_bytes()]).refused;
    assert_eq!(refused(long(40)), Some((501, None)));
    assert_eq!(refused(format!("GET /{}", long(35))), Some((414, None)));
    check(format!("GET /?{}", long(55)).as_bytes(), Unrecorded(414));

    let head = |bytes: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nB: {}\r\n\r\n",
            long(bytes - 32)
        )
    };
    check(head(200).as_bytes(), Accepted(1));
    check(head(201).as_bytes(), Unrecorded(431));
    check(&head(201).as_bytes()[..199], Incomplete);
    check(&head(201).as_bytes()[..200], Unrecorded(431));
    check(format!("\r\n{}", head(198)).as_bytes(), Accepted(1));
    check(format!("\r\n{}", head(199)).as_bytes(), Unrecorded(431));
    check("\r\n".repeat(99).as_bytes(), Accepted(0));
    check("\r\n".repeat(100).as_bytes(), Unrecorded(431));
    // The bare LF is refused before the length.
    check(
        format!("GET / HTTP/1.1\r\n\n{}", head(300)).as_bytes(),
        Recorded(400, "GET /"),
    );

    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = |body: String, expected| check((chunked.to_owned() + &body).as_bytes(), expected);
    body(format!("1;{}\r\nx\r\n0\r\n\r\n", long(58)), Accepted(1));
    body(
        format!("1;{}\r\nx\r\n0\r\n\r\n", long(59)),
        BodyRefused(400),
    );
    body(format!("1;{}", long(59)), BodyRefused(400));
    body(format!("0\r\nA:{}\r\n\r\n", long(194)), Accepted(1));
    body(format!("0\r\nA:{}\r\n\r\n", long(195)), BodyRefused(431));
    body(format!("0\r\nA:{}", long(198)), BodyRefused(431));
}

#[test]
fn messages_follow_one_another_and_bare_line_ends_do_not_hang() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    let rows: &[(String, Expected)] = &[
        (String::new(), Accepted(0)),
        ("\r".to_owned(), Accepted(0)),
        ("\r\n".to_owned(), Accepted(0)),
        (get.repeat(3), Accepted(3)),
        (format!("{post}hello{get}"), Accepted(2)),
        (format!("{post}hello\r\n{get}"), Accepted(2)),
        (format!("{post}hell"), Incomplete),
        (format!("{post}GET /{get}"), Accepted(2)),
        (format!("{get}BAD\r\n\r\n"), Unrecorded(400)),
        (
            format!("{get}{}", get.replace("Host", "Most")),
            Recorded(400, "GET /"),
        ),
        (get.replace("\r\n", "\n"), Unrecorded(400)),
        (get.replace("\r\n", "\r"), Unrecorded(400)),
        (get.replacen("\r\n\r\n", "\n\n", 1), Recorded(400, "GET /")),
        (
            get.replacen("\r\n\r\n", "\r\n\n", 1),
            Recorded(400, "GET /"),
        ),
        (
            get.replacen("\r\n\r\n", "\n\r\n", 1),
            Recorded(400, "GET /"),
        ),
        (
            get.replacen("\r\n\r\n", "\r\r\n", 1),
            Recorded(400, "GET /"),
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            Unrecorded(505),
        ),
        ("\x16\x03\x01\x02".to_owned(), Unrecorded(400)),
        ("GET / HTTP/1.1\r\nHost: a\r\n".to_owned(), Incomplete),
        ("GET / HTTP/1.1\r\n".to_owned(), Incomplete),
        ("GET / HTT".to_owned(), Incomplete),
    ];
    for (bytes, expected) in rows {
        check(bytes.as_bytes(), *expected);
    }
}

#[test]
fn heads_are_forwarded_as_sent_and_chunks_without_extensions_and_trailers() {
    let sent = b"\r\nPOST /a HTTP/1.7\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        0003;x=y\r\nabc\r\n1F\r\n0123456789012345678901234567890\r\n0;z\r\nA: b\r\n\r\n";
    let forwarded = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nabc\r\n1f\r\n0123456789012345678901234567890\r\n0\r\n\r\n";
    assert_eq!(run(LIMITS, [&sent[..]]).forwarded, forwarded);
    let refused = run(LIMITS, [&b"HEAD / HTTP/1.1\r\n\r\n"[..]]).forwarded;
    assert!(refused.starts_with(b"HEAD / HTTP/1.1\r\n"));
    let refused = run(LIMITS, [&b"HEADS / HTTP/1.1\r\n\r\n"[..]]).forwarded;
    assert!(refused.starts_with(b"GET / HTTP/1.1\r\n"));
}
