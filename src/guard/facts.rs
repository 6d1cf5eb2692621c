//! What a head's fields say together: where the message ends, and whether it can be served at all.

use hyper::StatusCode;

use super::{Fault, Limits, target};

/// What the fields say, as far as it decides where the message ends and whether it is refused.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The version's last digit: 0, or 1 for all others.
    pub minor: u8,
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

impl Facts {
    /// Takes in one field.
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) {
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

    /// At the head's end: what follows it, if the fields are in order together.
    pub(super) fn judge(&self, limits: &Limits) -> Result<Body, Fault> {
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
