//! The request line: method, target and version.

use std::ops::Range;

use hyper::{Method, StatusCode};

use super::byte_class::{self, PATH, QUERY, TOKEN};
use super::{Fault, Limits, target};

const LINE_TOO_LONG: Fault = Fault::new(StatusCode::URI_TOO_LONG, "the request line is too long");
/// 501: no implemented method is as long (RFC 9112 3).
const METHOD_TOO_LONG: Fault = Fault::new(StatusCode::NOT_IMPLEMENTED, "the method is too long");

/// A resumable scan of a request line: it can stop at any byte. Every call gets the head's bytes from their beginning.
#[derive(Debug, Default)]
pub(super) struct RequestLine {
    state: State,
    method_end: usize,
    /// The position of the target's `?`, or the target's end.
    query: usize,
    target_end: usize,
    /// Set once the line is complete, if method and target are well formed.
    path: Option<Range<usize>>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Method,
    Path,
    Query,
    Version,
    Cr,
}

impl RequestLine {
    /// Where the line ends, once it is complete.
    pub(super) fn end(&self) -> usize {
        self.target_end + b" HTTP/1.1\r\n".len()
    }

    /// Method and path, once the line is complete, if they are well formed.
    pub(super) fn method_and_path(&self, input: &[u8]) -> Option<(Method, String)> {
        let path = &input[self.method_end + 1..][self.path.clone()?];
        let path = match path {
            b"" => "/".to_owned(),
            path => String::from_utf8_lossy(path).into_owned(),
        };
        Some((Method::from_bytes(&input[..self.method_end]).ok()?, path))
    }

    /// Whether the method is complete, and is HEAD.
    pub(super) fn is_method_head(&self, input: &[u8]) -> bool {
        input[..self.method_end] == *b"HEAD"
    }

    /// The refusal of a request line that is too long.
    pub(super) fn too_long(&self) -> Fault {
        match self.state {
            State::Method => METHOD_TOO_LONG,
            _ => LINE_TOO_LONG,
        }
    }

    /// Continues from `*at`. Returns the minor HTTP version when the line is complete, as 0 or 1; rewrites any other in
    /// the input to 1.
    pub(super) fn scan(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<u8>, Fault> {
        while *at < input.len() {
            // The usual version is not read byte by byte.
            if matches!(self.state, State::Version)
                && *at == self.target_end + 1
                && *at + 8 <= limits.line_bytes_max
                && input[*at..].starts_with(b"HTTP/1.1\r\n")
            {
                *at += 10;
                return self.finish(input).map(Some);
            }
            let class = match self.state {
                State::Method => TOKEN,
                State::Path => PATH,
                State::Query => QUERY,
                _ => 0,
            };
            if class != 0 {
                // Never past the limit: the byte there is one too many, whatever it is.
                let end = input.len().min(limits.line_bytes_max);
                *at += byte_class::prefix_len(&input[*at..end.max(*at)], class);
            }
            let Some(&byte) = input.get(*at) else {
                break;
            };
            let next = match self.state {
                _ if byte_class::is(byte, class) => return Err(self.too_long()),
                State::Method if byte == b' ' && *at > 0 => {
                    self.method_end = *at;
                    State::Path
                }
                State::Method => return Err(Fault::bad_request("the method is malformed")),
                State::Path if byte == b'?' => {
                    self.query = *at;
                    State::Query
                }
                State::Path | State::Query => self.target_end(byte, *at)?,
                State::Version => self.version(byte, *at)?,
                State::Cr if byte == b'\n' => {
                    *at += 1;
                    return self.finish(input).map(Some);
                }
                State::Cr => {
                    return Err(Fault::bad_request("a bare CR after the request line"));
                }
            };
            *at += 1;
            self.state = next;
            if *at > limits.line_bytes_max && !matches!(self.state, State::Cr) {
                return Err(LINE_TOO_LONG);
            }
        }
        Ok(None)
    }

    fn target_end(&mut self, byte: u8, at: usize) -> Result<State, Fault> {
        match byte {
            b' ' if at > self.method_end + 1 => {
                if matches!(self.state, State::Path) {
                    self.query = at;
                }
                self.target_end = at;
                Ok(State::Version)
            }
            b'#' => Err(Fault::bad_request("the target has a fragment")),
            b'\r' | b'\n' => Err(Fault::bad_request("the request line has no version")),
            _ => Err(Fault::bad_request("the target is malformed")),
        }
    }

    /// One byte of `HTTP/D.D`, or the CR after it.
    fn version(&self, byte: u8, at: usize) -> Result<State, Fault> {
        let is_valid = match at - self.target_end - 1 {
            index @ (0..5 | 6) => byte == b"HTTP/0."[index],
            5 | 7 => byte.is_ascii_digit(),
            _ if byte == b'\r' => return Ok(State::Cr),
            _ => false,
        };
        match is_valid {
            true => Ok(State::Version),
            false => Err(Fault::bad_request("the HTTP version is malformed")),
        }
    }

    /// Checks the complete line.
    fn finish(&mut self, input: &mut [u8]) -> Result<u8, Fault> {
        let method = &input[..self.method_end];
        let start = self.method_end + 1;
        let target = &input[start..self.target_end];
        self.path = target::path(method, target, self.query - start);
        if input[self.target_end + 6] != b'1' {
            return Err(Fault::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "only HTTP/1.1 and HTTP/1.0 are supported",
            ));
        }
        if method == b"CONNECT" {
            return Err(Fault::new(
                StatusCode::NOT_IMPLEMENTED,
                "CONNECT is not implemented",
            ));
        }
        if self.path.is_none() {
            return Err(Fault::bad_request(
                "the target is neither a path nor an http or https URI",
            ));
        }
        let minor_version = &mut input[self.target_end + 8];
        // To a recipient that does not know HTTP/1.2 it is HTTP/1.1, and hyper knows no other digit.
        *minor_version = (*minor_version).min(b'1');
        Ok(*minor_version - b'0')
    }
}
