//! A request's head, from its first byte to its empty line.
//!
//! Every verdict falls at the first byte that makes it certain, so it does not depend on how the bytes were cut into
//! pieces. What only the whole head shows (a missing Host, say) is judged at its end.

use std::ops::Range;

use hyper::{HeaderMap, Method, StatusCode, header::HeaderName, header::HeaderValue};

use super::byte_class::{self, PATH, QUERY, TOKEN};
use super::fields::{self, Fields};
use super::framing_headers::{Body, FramingHeaders};
use super::{Fault, Limits, RefusedRequest, expect, target};

/// hyper's `Uri` can hold no more.
const TARGET_BYTES_MAX: usize = 65_534;

/// Nor is any header's name longer.
const NAME_BYTES_MAX: usize = 65_535;

const LINE_TOO_LONG: Fault = Fault::new(StatusCode::URI_TOO_LONG, "the request line is too long");
/// RFC 9112 3: no method that is implemented is as long.
const METHOD_TOO_LONG: Fault = Fault::new(StatusCode::NOT_IMPLEMENTED, "the method is too long");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A scan of one head that can stop at any byte and go on from there. It wants the bytes from the head's beginning
/// each time, without the empty lines before it.
#[derive(Debug, Default)]
pub(super) struct Scan {
    state: State,
    /// The first byte not yet looked at.
    at: usize,
    /// Bytes of empty lines before the head; they are gone from the input but count.
    skipped: usize,
    method_end: usize,
    /// Where the target's `?` is, or its end.
    query: usize,
    target_end: usize,
    /// Set when the request line is complete, and method and target are well formed.
    path: Option<Range<usize>>,
    fields: Fields,
    framing_headers: FramingHeaders,
}

#[derive(Debug, Default)]
enum State {
    /// Before the request line, where empty lines are skipped.
    #[default]
    Blank,
    BlankCr,
    Method,
    Path,
    Query,
    Version,
    LineCr,
    Fields,
}

/// A head that has passed.
#[derive(Debug)]
pub(super) struct Passed {
    /// Its length.
    pub bytes: usize,
    pub body: Body,
}

impl Scan {
    /// Whether no byte of a head has been seen; empty lines are none.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.state, State::Blank | State::BlankCr)
    }

    /// The request to record, where request line, method and target are well formed.
    pub(super) fn request(&self, input: &[u8]) -> Option<RefusedRequest> {
        let path = &input[self.method_end + 1..][self.path.clone()?];
        Some(RefusedRequest {
            method: Method::from_bytes(&input[..self.method_end]).ok()?,
            path: match path {
                b"" => "/".to_owned(),
                path => String::from_utf8_lossy(path).into_owned(),
            },
            forwarded_for: self.forwarded_for(input),
        })
    }

    /// Reads the fields that were looked at once more, with the request line complete. A head that passes is not
    /// asked for them: hyper will have parsed it.
    fn forwarded_for(&self, input: &[u8]) -> HeaderMap {
        let mut found = HeaderMap::new();
        let seen = &input[..self.at];
        let mut at = self.fields_start();
        let mut fields = Fields::default();
        while let Ok(fields::Found::Field) = fields.scan(seen, &mut at, usize::MAX) {
            let (name, value) = fields.field(seen, at);
            if name.eq_ignore_ascii_case(X_FORWARDED_FOR.as_str().as_bytes())
                && let Ok(value) = HeaderValue::from_bytes(value)
            {
                found.append(X_FORWARDED_FOR, value);
            }
        }
        found
    }

    /// Where the fields begin, once the request line is complete.
    fn fields_start(&self) -> usize {
        self.target_end + b" HTTP/1.1\r\n".len()
    }

    /// Whether the method is complete, and HEAD.
    pub(super) fn is_head(&self, input: &[u8]) -> bool {
        self.method_end > 0 && input[..self.method_end] == *b"HEAD"
    }

    /// Drops empty lines before a head. Returns how many bytes of the input they were.
    pub(super) fn skip_blank(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Fault> {
        let mut dropped = 0;
        while let Some(&byte) = input.get(dropped) {
            self.state = match (&self.state, byte) {
                (State::Blank, b'\r') => State::BlankCr,
                (State::BlankCr, b'\n') => State::Blank,
                (State::BlankCr, _) => return Err(Fault::bad("a bare CR")),
                (State::Blank, b'\n') => return Err(Fault::bad("a bare LF")),
                (State::Blank, _) => State::Method,
                _ => break,
            };
            if matches!(self.state, State::Method) {
                break;
            }
            dropped += 1;
            self.skipped += 1;
            if self.skipped >= limits.head_bytes_max {
                return Err(Fault::FIELDS_TOO_LONG);
            }
        }
        Ok(dropped)
    }

    /// What to say where the request line has grown too long.
    fn line_too_long(&self) -> Fault {
        match self.state {
            State::Method => METHOD_TOO_LONG,
            _ => LINE_TOO_LONG,
        }
    }

    /// Looks at what has arrived since the last call. `None`: the head's end is still to come. Rewrites the version and
    /// the Expect where hyper would not know them.
    pub(super) fn scan(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
    ) -> Result<Option<Passed>, Fault> {
        let room = limits.head_bytes_max - self.skipped;
        let seen = input.len().min(room);
        if !matches!(self.state, State::Fields) {
            self.request_line(&mut input[..seen], limits)?;
        }
        if matches!(self.state, State::Fields) {
            let bytes = &mut input[..seen];
            loop {
                match self.fields.scan(bytes, &mut self.at, limits.fields_max)? {
                    fields::Found::Field => {
                        let (name, value) = self.fields.field(bytes, self.at);
                        if name.len() > NAME_BYTES_MAX {
                            return Err(Fault::FIELDS_TOO_LONG);
                        }
                        self.framing_headers.add(name, value);
                    }
                    fields::Found::End => {
                        let body = self.framing_headers.body_length(limits)?;
                        if self.framing_headers.expect_is_untidy() {
                            expect::tidy(&mut bytes[self.fields_start()..self.at]);
                        }
                        let bytes = self.at;
                        return Ok(Some(Passed { bytes, body }));
                    }
                    fields::Found::More => break,
                }
            }
        }
        match self.state {
            // As many bytes as a head may have, and no end: it can only become longer.
            State::Fields if seen == room => Err(Fault::FIELDS_TOO_LONG),
            _ if seen == room => Err(self.line_too_long()),
            _ => Ok(None),
        }
    }

    fn request_line(&mut self, input: &mut [u8], limits: &Limits) -> Result<(), Fault> {
        while self.at < input.len() {
            // What almost everyone sends is not taken byte by byte.
            if matches!(self.state, State::Version)
                && self.at == self.target_end + 1
                && self.at + 8 <= limits.line_bytes_max
                && input[self.at..].starts_with(b"HTTP/1.1\r\n")
            {
                self.at += 10;
                return self.line_end(input);
            }
            let plain = match self.state {
                State::Method => TOKEN,
                State::Path => PATH,
                State::Query => QUERY,
                _ => 0,
            };
            if plain != 0 {
                // Never past what a line may have: the byte behind that is one too many, whatever it is.
                let end = input.len().min(limits.line_bytes_max);
                self.at += byte_class::count(&input[self.at..end.max(self.at)], plain);
            }
            let Some(&byte) = input.get(self.at) else {
                break;
            };
            let next = match self.state {
                _ if byte_class::is(byte, plain) => return Err(self.line_too_long()),
                State::Method if byte == b' ' && self.at > 0 => {
                    self.method_end = self.at;
                    State::Path
                }
                State::Method => return Err(Fault::bad("the method is malformed")),
                State::Path if byte == b'?' => {
                    self.query = self.at;
                    State::Query
                }
                State::Path | State::Query => self.target_end(byte)?,
                State::Version => self.version(byte)?,
                State::LineCr if byte == b'\n' => {
                    self.at += 1;
                    return self.line_end(input);
                }
                _ => return Err(Fault::bad("a bare CR after the request line")),
            };
            self.at += 1;
            self.state = next;
            if self.at > limits.line_bytes_max && !matches!(self.state, State::LineCr) {
                return Err(LINE_TOO_LONG);
            }
        }
        Ok(())
    }

    fn target_end(&mut self, byte: u8) -> Result<State, Fault> {
        match byte {
            b' ' if self.at - self.method_end - 1 > TARGET_BYTES_MAX => Err(LINE_TOO_LONG),
            b' ' if self.at > self.method_end + 1 => {
                if matches!(self.state, State::Path) {
                    self.query = self.at;
                }
                self.target_end = self.at;
                Ok(State::Version)
            }
            b'#' => Err(Fault::bad("the target has a fragment")),
            b'\r' | b'\n' => Err(Fault::bad("the request line has no version")),
            _ => Err(Fault::bad("the target is malformed")),
        }
    }

    /// One byte of `HTTP/D.D`, or the CR behind it.
    fn version(&self, byte: u8) -> Result<State, Fault> {
        let good = match self.at - self.target_end - 1 {
            place @ (0..5 | 6) => byte == b"HTTP/0."[place],
            5 | 7 => byte.is_ascii_digit(),
            _ if byte == b'\r' => return Ok(State::LineCr),
            _ => false,
        };
        match good {
            true => Ok(State::Version),
            false => Err(Fault::bad("the HTTP version is malformed")),
        }
    }

    fn line_end(&mut self, input: &mut [u8]) -> Result<(), Fault> {
        let method = &input[..self.method_end];
        let start = self.method_end + 1;
        let target = &input[start..self.target_end];
        self.path = target::path(method, target, self.query - start);
        if input[self.target_end + 6] != b'1' {
            return Err(Fault::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "only HTTP/1.1 and HTTP/1.0 are spoken here",
            ));
        }
        if method == b"CONNECT" {
            return Err(Fault::new(
                StatusCode::NOT_IMPLEMENTED,
                "CONNECT is not implemented",
            ));
        }
        if self.path.is_none() {
            return Err(Fault::bad(
                "the target is neither a path nor an http or https URI",
            ));
        }
        let minor = &mut input[self.target_end + 8];
        // HTTP/1.2, should it ever be, is HTTP/1.1 to whoever does not know it; hyper knows no other digits.
        *minor = (*minor).min(b'1');
        self.framing_headers.minor = *minor - b'0';
        self.state = State::Fields;
        Ok(())
    }
}
