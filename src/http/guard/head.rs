//! A request's head, from its first byte to its empty line.
//!
//! A head is refused at the first byte that makes it invalid, so the result does not depend on how its bytes were split
//! over reads. A defect that only the whole head shows, such as a missing Host, is found at its end.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::fields::{self, Fields};
use super::framing_headers::{BodyLength, FramingHeaders};
use super::request_line::RequestLine;
use super::{Fault, Limits, RefusedRequest, expect};

/// The headers of a refused request that its record or its log line needs.
const KEPT: [HeaderName; 2] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-request-id"),
];

/// A resumable scan of one head: it can stop at any byte. Every call gets the head's bytes from their beginning, without
/// the empty lines before it.
#[derive(Debug, Default)]
pub(super) struct Scan {
    state: State,
    /// The first byte that was not read yet.
    at: usize,
    /// Bytes of empty lines before the head: dropped from the input, but counted.
    skipped: usize,
    request_line: RequestLine,
    fields: Fields,
    framing_headers: FramingHeaders,
}

#[derive(Debug, Default)]
enum State {
    /// Before the request line, where empty lines are skipped.
    #[default]
    EmptyLines,
    EmptyLineCr,
    RequestLine,
    Fields,
}

/// A valid head.
#[derive(Debug)]
pub(super) struct CompleteHead {
    /// Its length.
    pub bytes: usize,
    pub body: BodyLength,
}

impl Scan {
    /// Whether a byte of a head has arrived. Empty lines before it do not count.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.state, State::EmptyLines | State::EmptyLineCr)
    }

    /// The request to record, if its request line is complete, and method and target are well formed.
    pub(super) fn refused_request(&self, input: &[u8]) -> Option<RefusedRequest> {
        let (method, path) = self.request_line.method_and_path(input)?;
        Some(RefusedRequest {
            method,
            path,
            headers: self.kept_headers(input),
        })
    }

    /// Scans the fields read so far a second time. Only refused requests need this; hyper parses all others.
    fn kept_headers(&self, input: &[u8]) -> HeaderMap {
        let mut found = HeaderMap::new();
        let input = &input[..self.at];
        let mut at = self.request_line.end();
        let mut fields = Fields::default();
        while let Ok(fields::Found::Field) = fields.scan(input, &mut at, usize::MAX) {
            let (name, value) = fields.field(input, at);
            let is_named = |kept: &HeaderName| name.eq_ignore_ascii_case(kept.as_str().as_bytes());
            if let Some(kept) = KEPT.into_iter().find(is_named)
                && let Ok(value) = HeaderValue::from_bytes(value)
            {
                found.append(kept, value);
            }
        }
        found
    }

    /// Whether the method is complete, and is HEAD.
    pub(super) fn is_method_head(&self, input: &[u8]) -> bool {
        self.request_line.is_method_head(input)
    }

    /// Skips empty lines before a head. Returns their length.
    pub(super) fn skip_empty_lines(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<usize, Fault> {
        let mut bytes = 0;
        while let Some(&byte) = input.get(bytes) {
            self.state = match (&self.state, byte) {
                (State::EmptyLines, b'\r') => State::EmptyLineCr,
                (State::EmptyLineCr, b'\n') => State::EmptyLines,
                (State::EmptyLineCr, _) => return Err(Fault::bad_request("a bare CR")),
                (State::EmptyLines, b'\n') => return Err(Fault::bad_request("a bare LF")),
                (State::EmptyLines, _) => State::RequestLine,
                _ => break,
            };
            if self.has_begun() {
                break;
            }
            bytes += 1;
            self.skipped += 1;
            if self.skipped >= limits.head_bytes_max {
                return Err(Fault::FIELDS_TOO_LONG);
            }
        }
        Ok(bytes)
    }

    /// Reads what has arrived since the last call. `None`: the head is not complete. Rewrites the version and the Expect
    /// where hyper would not understand them.
    pub(super) fn scan(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
    ) -> Result<Option<CompleteHead>, Fault> {
        let bytes_left = limits.head_bytes_max - self.skipped;
        let end = input.len().min(bytes_left);
        let input = &mut input[..end];
        if !matches!(self.state, State::Fields)
            && let Some(minor_version) = self.request_line.scan(input, &mut self.at, limits)?
        {
            self.framing_headers.minor_version = minor_version;
            self.state = State::Fields;
        }
        if matches!(self.state, State::Fields)
            && let Some(body) = self.scan_fields(input, limits)?
        {
            let bytes = self.at;
            return Ok(Some(CompleteHead { bytes, body }));
        }
        match self.state {
            // The limit is reached before the head's end.
            State::Fields if end == bytes_left => Err(Fault::FIELDS_TOO_LONG),
            _ if end == bytes_left => Err(self.request_line.too_long()),
            _ => Ok(None),
        }
    }

    fn scan_fields(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
    ) -> Result<Option<BodyLength>, Fault> {
        loop {
            match self.fields.scan(input, &mut self.at, limits.fields_max)? {
                fields::Found::Field => {
                    let (name, value) = self.fields.field(input, self.at);
                    self.framing_headers.add(name, value);
                }
                fields::Found::End => {
                    let body = self.framing_headers.body_length()?;
                    if self.framing_headers.expect_needs_normalizing() {
                        expect::normalize(&mut input[self.request_line.end()..self.at]);
                    }
                    return Ok(Some(body));
                }
                fields::Found::More => return Ok(None),
            }
        }
    }
}
