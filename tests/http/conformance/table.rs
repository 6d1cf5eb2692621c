//! Raw requests, with the expected response and row of each.

/// Bytes in each refused request that no response may contain.
pub const PROBE: &str = "zq7";

pub struct Case {
    pub name: &'static str,
    pub request: &'static [u8],
    pub status: u16,
    pub recorded: Recorded,
    /// The body of a 200.
    pub body: &'static str,
    /// Whether the server closes after the response. Otherwise the connection must serve another request.
    pub closes: bool,
}

pub enum Recorded {
    /// Method and path of the row.
    As(&'static str, &'static str),
    No,
    /// Either is correct, but the response's `record-id` and the database must agree.
    Unspecified,
}

type Text = &'static str;
type Bytes = &'static [u8];

/// 200, and the connection stays open.
const fn keep_alive(name: Text, method: Text, path: Text, body: Text, request: Bytes) -> Case {
    Case {
        name,
        request,
        status: 200,
        recorded: Recorded::As(method, path),
        body,
        closes: false,
    }
}

/// 200, and the connection closes.
const fn closes(name: Text, method: Text, path: Text, body: Text, request: Bytes) -> Case {
    Case {
        closes: true,
        ..keep_alive(name, method, path, body, request)
    }
}

/// Refused, with a row of that method and path.
const fn refused(name: Text, status: u16, method: Text, path: Text, request: Bytes) -> Case {
    Case {
        status,
        ..closes(name, method, path, "", request)
    }
}

/// 400, without a row.
const fn unrecorded(name: Text, request: Bytes) -> Case {
    Case {
        recorded: Recorded::No,
        ..refused(name, 400, "", "", request)
    }
}

/// 400, with or without a row.
const fn unspecified(name: Text, request: Bytes) -> Case {
    Case {
        recorded: Recorded::Unspecified,
        ..unrecorded(name, request)
    }
}

#[rustfmt::skip]
pub const ACCEPTED: &[Case] = &[
    keep_alive("GET", "GET", "/", "", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("HEAD", "HEAD", "/h", "", b"HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("HEAD with a body", "HEAD", "/h", "hello", b"HEAD /h HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
    keep_alive("POST", "POST", "/p", "hello", b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
    keep_alive("POST without a length", "POST", "/p", "", b"POST /p HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("PUT", "PUT", "/p", "x", b"PUT /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
    keep_alive("PATCH", "PATCH", "/p", "x", b"PATCH /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
    keep_alive("DELETE", "DELETE", "/d", "", b"DELETE /d HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("TRACE", "TRACE", "/t", "", b"TRACE /t HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("OPTIONS of a path", "OPTIONS", "/o", "", b"OPTIONS /o HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("OPTIONS *", "OPTIONS", "*", "", b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("an unknown method", "PURGE", "/x", "", b"PURGE /x HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("a method of symbols", "!#$%&'*+-.^_`|~9", "/", "", b"!#$%&'*+-.^_`|~9 / HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("a method in lower case", "get", "/", "", b"get / HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("GET with a body", "GET", "/g", "hello", b"GET /g HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
    keep_alive("a Content-Length of 0", "POST", "/p", "", b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
    // Targets.
    keep_alive("a query is dropped", "GET", "/q", "", b"GET /q?a=b&c=/d HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("an empty query", "GET", "/", "", b"GET /? HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("a query with a question mark", "GET", "/q", "", b"GET /q?a?b HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("escapes stay", "GET", "/a%20b%2Fc%00%e4", "", b"GET /a%20b%2Fc%00%e4 HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("a doubled slash", "GET", "//a//b/", "", b"GET //a//b/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("dots stay", "GET", "/a/../b/./c", "", b"GET /a/../b/./c HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("all special characters", "GET", "/;a=b,c:d@e!$&'()*+~", "", b"GET /;a=b,c:d@e!$&'()*+~ HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("absolute form", "GET", "/abs", "", b"GET http://o.example:81/abs?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("absolute form, no path", "GET", "/", "", b"GET http://o.example HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("absolute form, only a query", "GET", "/", "", b"GET http://o.example?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("absolute form, an empty port", "GET", "/a", "", b"GET http://x:/a HTTP/1.1\r\nHost: x:\r\n\r\n"),
    keep_alive("absolute form, https", "PUT", "/s", "", b"PUT HTTPS://o.example/s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
    // Fields.
    keep_alive("an empty line first", "GET", "/l", "", b"\r\nGET /l HTTP/1.1\r\nHost: h\r\n\r\n"),
    keep_alive("Host with a port", "GET", "/", "", b"GET / HTTP/1.1\r\nHost: example.com:8080\r\n\r\n"),
    keep_alive("Host with an empty port", "GET", "/", "", b"GET / HTTP/1.1\r\nHost: x:\r\n\r\n"),
    keep_alive("Host in brackets with an empty port", "GET", "/", "", b"GET / HTTP/1.1\r\nHost: [::1]:\r\n\r\n"),
    keep_alive("an empty Expect", "POST", "/p", "hello", b"POST /p HTTP/1.1\r\nHost: h\r\nExpect:\r\nContent-Length: 5\r\n\r\nhello"),
    keep_alive("Host in brackets", "GET", "/", "", b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
    keep_alive("field name in any case", "GET", "/", "", b"GET / HTTP/1.1\r\nhOST:h\r\n\r\n"),
    keep_alive("white space around a value", "GET", "/", "", b"GET / HTTP/1.1\r\nHost: \t h \t\r\nX:\r\nY: a\tb\r\n\r\n"),
    keep_alive("a value beyond ASCII", "GET", "/", "", b"GET / HTTP/1.1\r\nHost: h\r\nX: caf\xe9\r\n\r\n"),
    keep_alive("a field twice", "GET", "/", "", b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\nX: b\r\n\r\n"),
    // Chunked bodies.
    keep_alive("chunks", "POST", "/c", "hello you", b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n"),
    keep_alive("no chunks", "POST", "/c", "", b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    keep_alive("Chunked in any case", "POST", "/c", "a", b"POST /c HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
    keep_alive("sizes in hex", "POST", "/c", "0123456789abcdef0123456789", b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n00A\r\n0123456789\r\n000\r\n\r\n"),
    keep_alive("chunk extensions", "POST", "/c", "hello", b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2;c;d=\"e;f\"\r\nlo\r\n0;x\r\n\r\n"),
    keep_alive("white space around extensions", "POST", "/c", "hello", b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3 ;a=b\r\nhel\r\n2; c\t= \"d\" ;e\r\nlo\r\n0\t;a=b\r\n\r\n"),
    keep_alive("quotes within an extension", "POST", "/c", "hello", b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\\\"c\\\\\";d\r\nhello\r\n0\r\n\r\n"),
    keep_alive("trailers are dropped", "POST", "/c", "hello", b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\r\nX-C:\r\n\r\n"),
    keep_alive("chunk data like framing", "POST", "/c", "0\r\n\r\n", b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
];

#[rustfmt::skip]
pub const ACCEPTED_AND_CLOSED: &[Case] = &[
    closes("Connection: close", "POST", "/c", "hello", b"POST /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
    closes("Connection: Close in a list", "GET", "/c", "", b"GET /c HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n"),
    closes("Connection: close between empty members", "GET", "/c", "", b"GET /c HTTP/1.1\r\nHost: h\r\nConnection: ,, close ,\r\n\r\n"),
    closes("HTTP/1.0 without Host", "GET", "/old", "", b"GET /old HTTP/1.0\r\n\r\n"),
    closes("HTTP/1.0 with Host", "GET", "/old", "", b"GET /old HTTP/1.0\r\nHost: h\r\n\r\n"),
    closes("HTTP/1.0 with a body", "POST", "/old", "hello", b"POST /old HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"),
];

#[rustfmt::skip]
pub const REFUSED: &[Case] = &[
    // Host.
    refused("no Host", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\n\r\n"),
    refused("no Host, absolute form", 400, "GET", "/zq7", b"GET http://h/zq7 HTTP/1.1\r\n\r\n"),
    refused("no Host, HEAD", 400, "HEAD", "/zq7", b"HEAD /zq7 HTTP/1.1\r\n\r\n"),
    refused("two Hosts", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nHost: zq7\r\n\r\n"),
    refused("the same Host twice", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX: y\r\nhost: h\r\n\r\n"),
    refused("two Hosts, HTTP/1.0", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n"),
    refused("an empty Host", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: \r\n\r\n"),
    refused("an empty Host, HTTP/1.0", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.0\r\nHost:\r\n\r\n"),
    refused("Host with only a port", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: :80\r\n\r\n"),
    refused("Host with only a colon", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: :\r\n\r\n"),
    refused("Host of two words", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: a zq7\r\n\r\n"),
    refused("Host with a path", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: a/zq7\r\n\r\n"),
    refused("Host with a user", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: zq7@h\r\n\r\n"),
    refused("Host with a named port", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h:zq7\r\n\r\n"),
    refused("Host with half a bracket", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    // Methods, versions, expectations.
    refused("CONNECT", 501, "CONNECT", "zq7.example:443", b"CONNECT zq7.example:443 HTTP/1.1\r\nHost: zq7.example:443\r\n\r\n"),
    refused("HTTP/2.0", 505, "GET", "/zq7", b"GET /zq7 HTTP/2.0\r\nHost: h\r\n\r\n"),
    refused("HTTP/0.9 with a version", 505, "GET", "/zq7", b"GET /zq7 HTTP/0.9\r\nHost: h\r\n\r\n"),
    refused("another Expect", 417, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nExpect: 200-zq7\r\n\r\n"),
    refused("another Expect in a list", 417, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue, zq7\r\n\r\n"),
    // The form of fields.
    refused("white space before a colon", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX-Zq7 : zq7\r\n\r\n"),
    refused("white space before the first field", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n"),
    refused("obs-fold", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX: a\r\n zq7\r\n\r\n"),
    refused("obs-fold by a tab", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX: a\r\n\tzq7\r\n\r\n"),
    refused("a field without a colon", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nzq7\r\n\r\n"),
    refused("a field without a name", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\n: zq7\r\n\r\n"),
    refused("a field name that is no token", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX(zq7): a\r\n\r\n"),
    refused("a field name beyond ASCII", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX\xe9: zq7\r\n\r\n"),
    refused("NUL in a value", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX: zq7\0\r\n\r\n"),
    refused("a control in a value", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX: zq7\x01\r\n\r\n"),
    refused("DEL in a value", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX: zq7\x7f\r\n\r\n"),
    refused("a bare CR in a value", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\nX: a\rzq7\r\n\r\n"),
    refused("a field ended by a bare LF", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\nX: zq7\r\n\r\n"),
    refused("a head ended by a bare LF", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\r\n\n"),
    refused("a head ended by two bare LFs", 400, "GET", "/zq7", b"GET /zq7 HTTP/1.1\r\nHost: h\n\n"),
    // Where the body ends.
    refused("Content-Length, then chunked", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    refused("chunked, then Content-Length", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    refused("the same Content-Length twice", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nzq7"),
    refused("two Content-Lengths", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nzq7"),
    refused("a list of Content-Lengths", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nzq7"),
    refused("a negative Content-Length", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nzq7"),
    refused("a Content-Length with a plus", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nzq7"),
    refused("a Content-Length in hex", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nzq7"),
    refused("an empty Content-Length", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nzq7"),
    refused("gzip", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\nzq7"),
    refused("gzip, chunked", 501, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("chunked, gzip", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("chunked, chunked", 501, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("chunked on two lines", 501, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("identity", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\nzq7"),
    refused("xchunked", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("an empty Transfer-Encoding", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("chunked and an empty member", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked,\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("an empty member and chunked", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: , chunked\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("chunked and an empty line", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("chunked with a parameter", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked;q=1\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("gzip and chunked on two lines", 501, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    refused("HTTP/1.0 with chunks", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nzq7\r\n0\r\n\r\n"),
    // Chunk framing and trailers.
    refused("a size that is no number", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzq7\r\n\r\n"),
    refused("an empty size", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"),
    refused("an extension without a size", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n;zq7\r\n\r\n"),
    refused("a size with 0x", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nzq7\r\n0\r\n\r\n"),
    refused("a negative size", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nzq7\r\n0\r\n\r\n"),
    refused("white space after a size", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nzq7\r\n0\r\n\r\n"),
    refused("white space after an extension", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b \r\nzq7\r\n0\r\n\r\n"),
    refused("an extension without a name", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;\r\nzq7\r\n0\r\n\r\n"),
    refused("an extension without a name, after another", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a;\r\nzq7\r\n0\r\n\r\n"),
    refused("an extension whose name is no token", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;bad[=x\r\nzq7\r\n0\r\n\r\n"),
    refused("an extension without its value", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\r\nzq7\r\n0\r\n\r\n"),
    refused("an extension of three words", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a b c\r\nzq7\r\n0\r\n\r\n"),
    refused("a quoted extension without end", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"\r\nzq7\r\n0\r\n\r\n"),
    refused("an extension whose quote is escaped", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\\\"\r\nzq7\r\n0\r\n\r\n"),
    refused("bytes after a quoted extension", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"c\r\nzq7\r\n0\r\n\r\n"),
    refused("white space before a size", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nzq7\r\n0\r\n\r\n"),
    refused("a size ended by a bare LF", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\nzq7\r\n0\r\n\r\n"),
    refused("an extension ended by a bare LF", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nzq7\r\n0\r\n\r\n"),
    refused("a bare CR in an extension", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nzq7\r\n0\r\n\r\n"),
    refused("NUL in an extension", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a\0\r\nzq7\r\n0\r\n\r\n"),
    refused("chunk data ended by a bare LF", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nzq7\n0\r\n\r\n"),
    refused("chunk data longer than its size", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nzq7\r\n0\r\n\r\n"),
    refused("a trailer ended by a bare LF", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: zq7\n\r\n"),
    refused("a request hidden in a trailer", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: zq7\n\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"),
    refused("white space before a trailer's colon", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : zq7\r\n\r\n"),
    refused("obs-fold in a trailer", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n zq7\r\n\r\n"),
    refused("a trailer without a colon", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nzq7\r\n\r\n"),
    refused("the body ended by a bare LF", 400, "POST", "/zq7", b"POST /zq7 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n"),
];

#[rustfmt::skip]
pub const REFUSED_UNRECORDED: &[Case] = &[
    unrecorded("a target without a slash", b"GET zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("only a query", b"GET ?zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("a fragment", b"GET /a#zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("a fragment after a query", b"GET /a?b#zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("a fragment in absolute form", b"GET http://h/a#zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("* with GET", b"GET * HTTP/1.1\r\nHost: zq7\r\n\r\n"),
    unrecorded("* with more bytes", b"OPTIONS *zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("another scheme", b"GET ftp://h/zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("a scheme without an authority", b"GET http:///zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("host and port, not CONNECT", b"GET zq7.example:80 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("NUL in the target", b"GET /zq7\0 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("a control in the target", b"GET /zq7\x01 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("a method that is no token", b"G(T /zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("no method", b" /zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("a bare LF first", b"\nGET /zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unrecorded("a TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00zq7\r\n\r\n"),
    unspecified("two spaces", b"GET  /zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unspecified("tabs for spaces", b"GET\t/zq7\tHTTP/1.1\r\nHost: h\r\n\r\n"),
    unspecified("a space in the target", b"GET /a zq7 HTTP/1.1\r\nHost: h\r\n\r\n"),
    unspecified("white space after the version", b"GET /zq7 HTTP/1.1 \r\nHost: h\r\n\r\n"),
    unspecified("no version", b"GET /zq7\r\nHost: h\r\n\r\n"),
    unspecified("a version in lower case", b"GET /zq7 http/1.1\r\nHost: h\r\n\r\n"),
    unspecified("a minor version of two digits", b"GET /zq7 HTTP/1.10\r\nHost: h\r\n\r\n"),
    unspecified("another protocol", b"GET /zq7 ICY/1.1\r\nHost: h\r\n\r\n"),
    unspecified("a request line ended by a bare LF", b"GET /zq7 HTTP/1.1\nHost: h\r\n\r\n"),
    unspecified("a bare CR in the request line", b"GET /zq7 HTTP/1.1\rzq7\r\nHost: h\r\n\r\n"),
];
