//! Accepted and refused header fields.

use super::Expected::{self, Accepted, Recorded, Unrecorded};
use super::{LIMITS, check, run};

#[test]
fn a_field_line_is_a_name_a_colon_and_text() {
    let row = "POST /p";
    let rows: &[(&[u8], Expected)] = &[
        (b"A: b", Accepted(1)),
        (b"A:b", Accepted(1)),
        (b"A:", Accepted(1)),
        (b"A: \t ", Accepted(1)),
        (b"A: \tb\t c ", Accepted(1)),
        (b"A: \x80\xff", Accepted(1)),
        (b"!#$%&'*+-.^_`|~09: b", Accepted(1)),
        (b"A : b", Recorded(400, row)),
        (b"A\t: b", Recorded(400, row)),
        (b"A b: c", Recorded(400, row)),
        (b" A: b", Recorded(400, row)),
        (b"\tA: b", Recorded(400, row)),
        (b"A: b\r\n c", Recorded(400, row)),
        (b"A: b\r\n\tc", Recorded(400, row)),
        (b"A: b\r\n \r\nC: d", Recorded(400, row)),
        (b": b", Recorded(400, row)),
        (b"A", Recorded(400, row)),
        (b"A\r\nB: c", Recorded(400, row)),
        (b"A\0: b", Recorded(400, row)),
        (b"\0A: b", Recorded(400, row)),
        (b"A\x80: b", Recorded(400, row)),
        (b"A(: b", Recorded(400, row)),
        (b"A: b\0", Recorded(400, row)),
        (b"A: \x01", Recorded(400, row)),
        (b"A: \x0b", Recorded(400, row)),
        (b"A: \x1f", Recorded(400, row)),
        (b"A: \x7f", Recorded(400, row)),
        (b"A: b\nC: d", Recorded(400, row)),
        (b"A: b\rC: d", Recorded(400, row)),
        (b"A: b\r\rC: d", Recorded(400, row)),
        (b"A: b\r\n\rC: d", Recorded(400, row)),
        (b"A: b\n", Recorded(400, row)),
        (b"A: b\r", Recorded(400, row)),
        (b"\nA: b", Recorded(400, row)),
        (b"A: 1\r\nA: 2\r\nA: 3\r\nA: 4", Accepted(1)),
        (b"A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5", Unrecorded(431)),
        (b"Content-Length: 0", Accepted(1)),
        (b"CONTENT-length: \t00 ", Accepted(1)),
        (b"Content-Length:", Recorded(400, row)),
        (b"Content-Length: +5", Recorded(400, row)),
        (b"Content-Length: -1", Recorded(400, row)),
        (b"Content-Length: 0x5", Recorded(400, row)),
        (b"Content-Length: 5 5", Recorded(400, row)),
        (b"Content-Length: 5,5", Recorded(400, row)),
        (b"Content-Length: 5, 5", Recorded(400, row)),
        (b"Content-Length: 5,", Recorded(400, row)),
        (b"Content-Length: ,5", Recorded(400, row)),
        (b"Content-Length: 5.0", Recorded(400, row)),
        (b"Content-Length: \xb2", Recorded(400, row)),
        (
            b"Content-Length: 5\r\nContent-Length: 5",
            Recorded(400, row),
        ),
        (
            b"Content-Length: 0\r\nContent-Length: 5",
            Recorded(400, row),
        ),
        (b"Content-Length : 5", Recorded(400, row)),
        (b"Content-Length\x00: 5", Recorded(400, row)),
        (b"Content-Length: \x0b5", Recorded(400, row)),
        (b"Content-Length: 9223372036854775808", Recorded(413, row)),
        (
            b"Content-Length: 9223372036854775808\r\nExpect: 100-continue",
            Recorded(413, row),
        ),
        (b"Content-Length: 18446744073709551615", Recorded(413, row)),
        (b"Content-Length: 18446744073709551616", Recorded(413, row)),
        (
            b"Content-Length: 99999999999999999999999",
            Recorded(413, row),
        ),
        (
            b"Content-Length: 9223372036854775808\r\nExpect: b",
            Recorded(417, row),
        ),
        (
            b"Transfer-Encoding: chunked\r\nContent-Length: 5",
            Recorded(400, row),
        ),
        (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            Recorded(400, row),
        ),
        (
            b"Content-Length: 5\r\nTransfer-Encoding: gzip",
            Recorded(400, row),
        ),
        (b"Transfer-Encoding : chunked", Recorded(400, row)),
        (b"Transfer-Encoding\t: chunked", Recorded(400, row)),
        (b" Transfer-Encoding: chunked", Recorded(400, row)),
        (b"Transfer-Encoding\r\n : chunked", Recorded(400, row)),
        (b"X: y\r\n Transfer-Encoding: chunked", Recorded(400, row)),
        (b"X: y\nTransfer-Encoding: chunked", Recorded(400, row)),
        (b"X: y\rTransfer-Encoding: chunked", Recorded(400, row)),
        (b"Transfer-Encoding: \x0bchunked", Recorded(400, row)),
        (b"Transfer-Encoding: \0chunked", Recorded(400, row)),
        (b"Transfer-Encoding: xchunked", Recorded(400, row)),
        (b"Transfer-Encoding: chunked,", Recorded(400, row)),
        (b"Transfer-Encoding: ,chunked", Recorded(400, row)),
        (b"Transfer-Encoding: gzip, , chunked", Recorded(400, row)),
        (b"Transfer-Encoding: ,", Recorded(400, row)),
        (b"Transfer-Encoding: chunked;q=1", Recorded(400, row)),
        (b"Transfer-Encoding: \"chunked\"", Recorded(400, row)),
        (b"Transfer-Encoding: gzip, chunked", Recorded(501, row)),
        (
            b"Transfer-Encoding: x;a=\"b, c\" ,\tChunked",
            Recorded(501, row),
        ),
        (b"Transfer-Encoding: chunked, gzip", Recorded(400, row)),
        (b"Transfer-Encoding: gzip", Recorded(400, row)),
        (b"Transfer-Encoding: x;a=\"b, chunked\"", Recorded(400, row)),
        (b"Transfer-Encoding: chunked, chunked", Recorded(501, row)),
        (
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Recorded(501, row),
        ),
        (
            b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
            Recorded(501, row),
        ),
        (
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            Recorded(400, row),
        ),
        (
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding:",
            Recorded(400, row),
        ),
        (
            b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
            Recorded(400, row),
        ),
        (b"Transfer-Encoding: identity", Recorded(400, row)),
        (b"Transfer-Encoding: \xa0chunked", Recorded(400, row)),
        (b"Transfer-Encoding:", Recorded(400, row)),
        (
            b"Transfer-Encoding:\r\nContent-Length: 5",
            Recorded(400, row),
        ),
        (
            b"Transfer-Encoding: gzip, chunked\r\nExpect: b",
            Recorded(501, row),
        ),
        (b"Expect: 100-continue", Accepted(1)),
        (b"expect: 100-Continue", Accepted(1)),
        (b"Expect:", Accepted(1)),
        (b"Expect: , ,", Accepted(1)),
        (b"Expect: 100-continue,", Accepted(1)),
        (b"Expect: ,, 100-continue", Accepted(1)),
        (b"Expect: 100-continue\t, 100-Continue", Accepted(1)),
        (b"Expect: 100-continue\r\nExpect: 100-continue", Accepted(1)),
        (b"Expect: 100-continue\r\nExpect:", Accepted(1)),
        (b"Expect:\r\nExpect: 100-continue", Accepted(1)),
        (b"Expect: 100", Recorded(417, row)),
        (b"Expect: \"100-continue\"", Recorded(417, row)),
        (b"Expect: 100-continue;a", Recorded(417, row)),
        (b"Expect: 100-continue, b", Recorded(417, row)),
        (b"Expect: b,", Recorded(417, row)),
        (b"Expect: b\r\nExpect:", Recorded(417, row)),
        (
            b"Expect: 100-continue,\r\nContent-Length: 9223372036854775808",
            Recorded(413, row),
        ),
        (b"Expect: 100-continue\r\nExpect: b", Recorded(417, row)),
    ];
    for (lines, expected) in rows {
        let head = [b"POST /p?q HTTP/1.1\r\nHost: a\r\n", *lines, b"\r\n\r\n"];
        check(&head.concat(), *expected);
    }
    let chunked = b"Transfer-Encoding:\tCHUNKED \r\n\r\n0\r\n\r\n";
    let head = [&b"POST /p HTTP/1.1\r\nHost: a\r\n"[..], chunked];
    check(&head.concat(), Accepted(1));
}

#[test]
fn expect_is_forwarded_in_the_one_form_that_hyper_understands() {
    // hyper reads the last Expect line and trims its value.
    let rows: &[(&str, &str)] = &[
        ("Expect: 100-Continue", "Expect: 100-Continue"),
        ("eXpect:100-continue,", "eXpect: 100-continue"),
        ("Expect: ,\t100-Continue ,", "Expect:     100-continue"),
        (
            "Expect: 100-continue, 100-continue\t",
            "Expect:                100-continue",
        ),
        (
            "Expect: 100-continue\r\nA: b\r\nExpect: ,\r\nC: d",
            "A: b\r\nExpect: ,\r\nExpect: 100-continue\r\nC: d",
        ),
        (
            "Expect: 100-continue,\r\nExpect: 100-continue",
            "Expect: 100-continue,\r\nExpect: 100-continue",
        ),
        ("Expect: ,", "Expect: ,"),
        ("Expected: 100-continue,", "Expected: 100-continue,"),
    ];
    for (sent, forwarded) in rows {
        let head = |lines| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        let outcome = run(LIMITS, [head(sent).as_bytes()]);
        assert_eq!(String::from_utf8_lossy(&outcome.forwarded), head(forwarded));
        check(head(sent).as_bytes(), Accepted(1));
    }
    let http_1_0 = b"GET / HTTP/1.0\r\nExpect: 100-continue, b\r\n\r\n";
    assert_eq!(run(LIMITS, [&http_1_0[..]]).forwarded, http_1_0);
}

#[test]
fn http_1_0_needs_no_host_ignores_expect_and_refuses_transfer_encoding() {
    let rows: &[(&[u8], Expected)] = &[
        (b"", Accepted(1)),
        (b"Host: a\r\n", Accepted(1)),
        (b"Host:\r\n", Recorded(400, "POST /")),
        (b"Host: a\r\nHost: a\r\n", Recorded(400, "POST /")),
        (b"Expect: b\r\n", Accepted(1)),
        (b"Transfer-Encoding: chunked\r\n", Recorded(400, "POST /")),
        (b"Transfer-Encoding: gzip\r\n", Recorded(400, "POST /")),
        (
            b"Content-Length: 9223372036854775808\r\nExpect: b\r\n",
            Recorded(413, "POST /"),
        ),
    ];
    for (lines, expected) in rows {
        let head = [b"POST / HTTP/1.0\r\n", *lines, b"\r\n"];
        check(&head.concat(), *expected);
    }
}

#[test]
fn a_host_is_one_name_or_address_with_an_optional_port() {
    let valid: &[&str] = &[
        "a",
        "a.example",
        "A.B.",
        "a_b~c",
        "a%41",
        "a!$&'()*+;=",
        "a:0",
        "a:65535",
        "a:00080",
        "a:",
        "127.0.0.1:",
        "[::1]:",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:80",
        "[::ffff:1.2.3.4]",
        "\ta ",
    ];
    let invalid: &[&str] = &[
        "",
        " ",
        ":80",
        ":",
        "a::",
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
        "[fe80::1%25lo]",
        "[v1.a]",
        "a\"b",
        "a\\b",
        "<a>",
        "[::1]:80:80",
        "a\u{e9}",
    ];
    for host in valid {
        let head = format!("GET http://x/ HTTP/1.1\r\nHost:{host}\r\n\r\n");
        check(head.as_bytes(), Accepted(1));
    }
    for host in invalid {
        let head = format!("GET http://x/ HTTP/1.1\r\nhOST:{host}\r\n\r\n");
        check(head.as_bytes(), Recorded(400, "GET /"));
    }
    check(b"GET /a HTTP/1.1\r\n\r\n", Recorded(400, "GET /a"));
    check(b"GET http://a/b HTTP/1.1\r\n\r\n", Recorded(400, "GET /b"));
    check(b"OPTIONS * HTTP/1.1\r\n\r\n", Recorded(400, "OPTIONS *"));
    check(
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Recorded(400, "GET /"),
    );
    check(
        b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        Recorded(400, "GET /"),
    );
    check(
        b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n",
        Recorded(400, "GET /"),
    );
}
