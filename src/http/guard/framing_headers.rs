//! The header fields that decide where a message ends, and whether it can be served.

use hyper::StatusCode;

use super::{Fault, expect, list, target};

/// A summary of the fields read so far.
#[derive(Debug, Default)]
pub(super) struct FramingHeaders {
    /// The minor HTTP version: 0, or 1 for all others.
    pub minor_version: u8,
    hosts: usize,
    host_is_malformed: bool,
    lengths: usize,
    /// `None`: not a number.
    length: Option<u64>,
    /// Lines of Transfer-Encoding; together they are one list.
    coding_lines: usize,
    codings: usize,
    has_empty_coding: bool,
    /// Of the last coding so far.
    last_is_chunked: bool,
    expects_continue: bool,
    expects_other: bool,
    /// Whether the last Expect so far is exactly `100-continue`.
    expect_is_normal: bool,
}

/// The length of the body that follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// In bytes; 0 without a body.
    Known(u64),
    Chunked,
}

impl FramingHeaders {
    /// Adds one field.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => {
                self.hosts += 1;
                self.host_is_malformed |= !target::is_authority(value);
            }
            6 if is(b"expect") => {
                self.expect_is_normal = expect::is_continue(value);
                for member in list::members(value).filter(|member| !member.is_empty()) {
                    let is_continue = expect::is_continue(member);
                    self.expects_continue |= is_continue;
                    self.expects_other |= !is_continue;
                }
            }
            14 if is(b"content-length") => {
                self.lengths += 1;
                self.length = number(value);
            }
            17 if is(b"transfer-encoding") => {
                self.coding_lines += 1;
                for coding in list::members(value) {
                    self.codings += 1;
                    self.has_empty_coding |= coding.is_empty();
                    self.last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                }
            }
            _ => {}
        }
    }

    /// Whether hyper needs [`expect::normalize`] to understand what is expected.
    pub(super) fn expect_needs_normalizing(&self) -> bool {
        self.minor_version > 0 && self.expects_continue && !self.expect_is_normal
    }

    /// At the end of the head: the length of the body, or why the fields are refused.
    pub(super) fn body_length(&self) -> Result<BodyLength, Fault> {
        let is_http_1_1 = self.minor_version > 0;
        match self {
            _ if self.hosts > 1 => return Err(Fault::bad_request("more than one Host")),
            _ if self.hosts == 0 && is_http_1_1 => return Err(Fault::bad_request("no Host")),
            _ if self.host_is_malformed => return Err(Fault::bad_request("the Host is malformed")),
            _ if self.coding_lines > 0 && self.lengths > 0 => {
                return Err(Fault::bad_request(
                    "both Content-Length and Transfer-Encoding",
                ));
            }
            _ if self.lengths > 1 => {
                return Err(Fault::bad_request("more than one Content-Length"));
            }
            _ if self.lengths == 1 && self.length.is_none() => {
                return Err(Fault::bad_request("the Content-Length is not a number"));
            }
            _ if self.coding_lines > 0 && !is_http_1_1 => {
                return Err(Fault::bad_request("HTTP/1.0 has no Transfer-Encoding"));
            }
            // Other lists ignore empty members (RFC 9110 5.6.1). This one decides where the body ends, and implementations
            // differ: hyper does not read `chunked,` as chunked, HAProxy refuses it, others accept it.
            _ if self.has_empty_coding => {
                return Err(Fault::bad_request("an empty member in Transfer-Encoding"));
            }
            // The end of such a body cannot be determined (RFC 9112 6.3).
            _ if self.coding_lines > 0 && !self.last_is_chunked => {
                return Err(Fault::bad_request(
                    "the last transfer coding is not chunked",
                ));
            }
            _ if self.codings > 1 => {
                return Err(Fault::new(
                    StatusCode::NOT_IMPLEMENTED,
                    "only one transfer coding is supported: chunked, once",
                ));
            }
            _ if self.expects_other && is_http_1_1 => {
                return Err(Fault::new(
                    StatusCode::EXPECTATION_FAILED,
                    "the only expectation supported is 100-continue",
                ));
            }
            _ if self.coding_lines > 0 => return Ok(BodyLength::Chunked),
            _ => {}
        }
        let length = self.length.unwrap_or(0);
        // The body's limit depends on its route, which the guard does not know. This one lets head and body lengths be added.
        if length > u64::MAX / 2 {
            return Err(Fault::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is too large",
            ));
        }
        Ok(BodyLength::Known(length))
    }
}

/// 1*DIGIT. A number that does not fit becomes the largest one, which exceeds every limit.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}
