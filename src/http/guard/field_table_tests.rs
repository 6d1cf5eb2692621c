//! Header fields that pass and that do not.

use super::table_tests::Want::{self, Bare, Pass, Row};
use super::table_tests::{LIMITS, check, run};

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
        (b"Content-Length: 5,", Row(400, row)),
        (b"Content-Length: ,5", Row(400, row)),
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
        (b"Transfer-Encoding: xchunked", Row(400, row)),
        (b"Transfer-Encoding: chunked,", Row(400, row)),
        (b"Transfer-Encoding: ,chunked", Row(400, row)),
        (b"Transfer-Encoding: gzip, , chunked", Row(400, row)),
        (b"Transfer-Encoding: ,", Row(400, row)),
        (b"Transfer-Encoding: chunked;q=1", Row(400, row)),
        (b"Transfer-Encoding: \"chunked\"", Row(400, row)),
        (b"Transfer-Encoding: gzip, chunked", Row(501, row)),
        (b"Transfer-Encoding: x;a=\"b, c\" ,\tChunked", Row(501, row)),
        (b"Transfer-Encoding: chunked, gzip", Row(400, row)),
        (b"Transfer-Encoding: gzip", Row(400, row)),
        (b"Transfer-Encoding: x;a=\"b, chunked\"", Row(400, row)),
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
            Row(400, row),
        ),
        (
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding:",
            Row(400, row),
        ),
        (
            b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
            Row(400, row),
        ),
        (b"Transfer-Encoding: identity", Row(400, row)),
        (b"Transfer-Encoding: \xa0chunked", Row(400, row)),
        (b"Transfer-Encoding:", Row(400, row)),
        (b"Transfer-Encoding:\r\nContent-Length: 5", Row(400, row)),
        (
            b"Transfer-Encoding: gzip, chunked\r\nExpect: b",
            Row(501, row),
        ),
        (b"Expect: 100-continue", Pass(1)),
        (b"expect: 100-Continue", Pass(1)),
        (b"Expect:", Pass(1)),
        (b"Expect: , ,", Pass(1)),
        (b"Expect: 100-continue,", Pass(1)),
        (b"Expect: ,, 100-continue", Pass(1)),
        (b"Expect: 100-continue\t, 100-Continue", Pass(1)),
        (b"Expect: 100-continue\r\nExpect: 100-continue", Pass(1)),
        (b"Expect: 100-continue\r\nExpect:", Pass(1)),
        (b"Expect:\r\nExpect: 100-continue", Pass(1)),
        (b"Expect: 100", Row(417, row)),
        (b"Expect: \"100-continue\"", Row(417, row)),
        (b"Expect: 100-continue;a", Row(417, row)),
        (b"Expect: 100-continue, b", Row(417, row)),
        (b"Expect: b,", Row(417, row)),
        (b"Expect: b\r\nExpect:", Row(417, row)),
        (
            b"Expect: 100-continue,\r\nContent-Length: 101",
            Row(413, row),
        ),
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
fn hyper_gets_an_expectation_in_the_one_form_that_it_knows() {
    // Between the lines, what they become. hyper reads the last one, without the white space around its value.
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
    for (sent, got) in rows {
        let head = |lines| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        let outcome = run(LIMITS, [head(sent).as_bytes()]);
        assert_eq!(String::from_utf8_lossy(&outcome.bytes), head(got));
        check(head(sent).as_bytes(), Pass(1));
    }
    let old = b"GET / HTTP/1.0\r\nExpect: 100-continue, b\r\n\r\n";
    assert_eq!(run(LIMITS, [&old[..]]).bytes, old);
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
    let bad: &[&str] = &[
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
