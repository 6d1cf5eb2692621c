//! A request's head, from its first byte to its empty line.
//!
//! Every verdict falls at the first byte that makes it certain, so it does not depend on how the bytes were cut into
//! pieces. What only the whole head shows (a missing Host, say) is judged at its end.

use std::ops::Range;

use hyper::{Method, StatusCode};

use super::fields::{self, Fields, is_token};
use super::target::{self, is_path, is_query};
use super::{Fault, Limits, RefusedRequest};

/// hyper's `Uri` can hold no more.
const TARGET_BYTES_MAX: usize = 65_534;

/// Nor is any header's name longer.
const NAME_BYTES_MAX: usize = 65_535;

const LINE_TOO_LONG: Fault = Fault::new(StatusCode::URI_TOO_LONG, "the request line is too long");

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
    facts: Facts,
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

/// What the fields say, as far as it decides where the message ends and whether it is refused.
#[derive(Debug, Default)]
struct Facts {
    minor: u8,
    hosts: usize,
    host_is_bad: bool,
    lengths: usize,
    /// `None`: not a number.
    length: Option<u64>,
    codings: usize,
    chunked: bool,
    expects_other: bool,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Bytes; 0 without a body.
    Length(u64),
    Chunked,
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
        })
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

    /// Looks at what has arrived since the last call. `None`: the head's end is still to come. Rewrites the version
    /// where hyper would not know it.
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
            let bytes = &input[..seen];
            loop {
                match self.fields.scan(bytes, &mut self.at, limits.fields_max)? {
                    fields::Found::Field => {
                        let (name, value) = self.fields.field(bytes, self.at);
                        if name.len() > NAME_BYTES_MAX {
                            return Err(Fault::FIELDS_TOO_LONG);
                        }
                        self.facts.note(name, value);
                    }
                    fields::Found::End => {
                        let body = self.facts.judge(limits)?;
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
            _ if seen == room => Err(LINE_TOO_LONG),
            _ => Ok(None),
        }
    }

    fn request_line(&mut self, input: &mut [u8], limits: &Limits) -> Result<(), Fault> {
        while let Some(&byte) = input.get(self.at) {
            let next = match self.state {
                State::Method => match byte {
                    _ if is_token(byte) => State::Method,
                    b' ' if self.at > 0 => {
                        self.method_end = self.at;
                        State::Path
                    }
                    _ => return Err(Fault::bad("the method is malformed")),
                },
                State::Path if is_path(byte) => State::Path,
                State::Query if is_query(byte) => State::Query,
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
            let in_target = matches!(self.state, State::Path | State::Query);
            if (self.at > limits.line_bytes_max && !matches!(self.state, State::LineCr))
                || (in_target && self.at - self.method_end - 1 > TARGET_BYTES_MAX)
            {
                return Err(LINE_TOO_LONG);
            }
        }
        Ok(())
    }

    fn target_end(&mut self, byte: u8) -> Result<State, Fault> {
        match byte {
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
        self.facts.minor = *minor - b'0';
        self.state = State::Fields;
        Ok(())
    }
}

impl Facts {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => {
                self.hosts += 1;
                self.host_is_bad |= !target::is_authority(value);
            }
            6 if is(b"expect") => {
                self.expects_other |= !value.eq_ignore_ascii_case(b"100-continue");
            }
            14 if is(b"content-length") => {
                self.lengths += 1;
                self.length = number(value);
            }
            17 if is(b"transfer-encoding") => {
                self.codings += 1;
                self.chunked = value.eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
    }

    fn judge(&self, limits: &Limits) -> Result<Body, Fault> {
        let new = self.minor > 0;
        match self {
            _ if self.hosts > 1 => return Err(Fault::bad("more than one Host")),
            _ if self.hosts == 0 && new => return Err(Fault::bad("no Host")),
            _ if self.host_is_bad => return Err(Fault::bad("the Host is malformed")),
            _ if self.codings > 0 && self.lengths > 0 => {
                return Err(Fault::bad("both Content-Length and Transfer-Encoding"));
            }
            _ if self.lengths > 1 => return Err(Fault::bad("more than one Content-Length")),
            _ if self.lengths == 1 && self.length.is_none() => {
                return Err(Fault::bad("the Content-Length is not a number"));
            }
            _ if self.codings > 0 && !new => {
                return Err(Fault::bad("HTTP/1.0 knows no Transfer-Encoding"));
            }
            _ if self.codings > 1 || (self.codings == 1 && !self.chunked) => {
                return Err(Fault::new(
                    StatusCode::NOT_IMPLEMENTED,
                    "the only transfer coding implemented is chunked, once",
                ));
            }
            _ if self.expects_other && new => {
                return Err(Fault::new(
                    StatusCode::EXPECTATION_FAILED,
                    "the only expectation met is 100-continue",
                ));
            }
            _ if self.codings == 1 => return Ok(Body::Chunked),
            _ => {}
        }
        let length = self.length.unwrap_or(0);
        // No limit is so high that sums overflow.
        if length > (limits.body_bytes_max as u64).min(u64::MAX / 2) {
            return Err(Fault::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is too large",
            ));
        }
        Ok(Body::Length(length))
    }
}

/// 1*DIGIT; more than fits is the largest number, which is too large for everyone.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}
