//! What a head's fields say together: where the message ends, and whether it can be served at all.

use hyper::StatusCode;

use super::{Fault, Limits, expect, list, target};

/// What the fields say, as far as it decides where the message ends and whether it is refused.
#[derive(Debug, Default)]
pub(super) struct FramingHeaders {
    /// The version's last digit: 0, or 1 for all others.
    pub minor: u8,
    hosts: usize,
    host_is_bad: bool,
    lengths: usize,
    /// `None`: not a number.
    length: Option<u64>,
    /// Lines of Transfer-Encoding; all of them are one list.
    coding_lines: usize,
    codings: usize,
    empty_coding: bool,
    /// The last one so far.
    coding_is_chunked: bool,
    expects_continue: bool,
    expects_other: bool,
    /// The last Expect so far is `100-continue` and nothing else.
    expect_is_tidy: bool,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Bytes; 0 without a body.
    Length(u64),
    Chunked,
}

impl FramingHeaders {
    /// Takes in one field.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => {
                self.hosts += 1;
                self.host_is_bad |= !target::is_authority(value);
            }
            6 if is(b"expect") => {
                self.expect_is_tidy = expect::is_continue(value);
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
                    self.empty_coding |= coding.is_empty();
                    self.coding_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                }
            }
            _ => {}
        }
    }

    /// Whether [`expect::tidy`] has to be called before hyper understands what is expected.
    pub(super) fn expect_is_untidy(&self) -> bool {
        self.minor > 0 && self.expects_continue && !self.expect_is_tidy
    }

    /// At the head's end: what follows it, if the fields are in order together.
    pub(super) fn body_length(&self, limits: &Limits) -> Result<Body, Fault> {
        let new = self.minor > 0;
        match self {
            _ if self.hosts > 1 => return Err(Fault::bad("more than one Host")),
            _ if self.hosts == 0 && new => return Err(Fault::bad("no Host")),
            _ if self.host_is_bad => return Err(Fault::bad("the Host is malformed")),
            _ if self.coding_lines > 0 && self.lengths > 0 => {
                return Err(Fault::bad("both Content-Length and Transfer-Encoding"));
            }
            _ if self.lengths > 1 => return Err(Fault::bad("more than one Content-Length")),
            _ if self.lengths == 1 && self.length.is_none() => {
                return Err(Fault::bad("the Content-Length is not a number"));
            }
            _ if self.coding_lines > 0 && !new => {
                return Err(Fault::bad("HTTP/1.0 knows no Transfer-Encoding"));
            }
            // In other lists an empty member counts for nothing (RFC 9110 5.6.1). This one says where the body ends,
            // and readers differ: hyper does not take `chunked,` for chunked, HAProxy refuses it, others take it.
            _ if self.empty_coding => {
                return Err(Fault::bad("an empty member in Transfer-Encoding"));
            }
            // Nobody can say where such a body ends (RFC 9112 6.3).
            _ if self.coding_lines > 0 && !self.coding_is_chunked => {
                return Err(Fault::bad("the last transfer coding is not chunked"));
            }
            _ if self.codings > 1 => {
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
            _ if self.coding_lines > 0 => return Ok(Body::Chunked),
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
