//! The framing of a chunked body: the size line before each chunk, the CRLF after its data, and the trailers.

use super::chunk_extensions::{ExtensionState, MALFORMED};
use super::fields::{self, Fields};
use super::{Fault, Limits};

/// The hex digits of the largest u64.
const DIGITS_MAX: usize = 16;

/// A resumable scan of chunk framing: it can stop at any byte. The caller skips the chunks' data.
#[derive(Debug, Default)]
pub(super) struct Scan {
    state: State,
    size: u64,
    digits: usize,
    line_bytes: usize,
    trailers: Fields,
    trailer_bytes: usize,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Extensions(ExtensionState),
    SizeCr,
    /// After a chunk's data.
    DataEnd,
    DataCr,
    Trailers,
}

/// Why a scan has stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It needs more bytes.
    More,
    /// A chunk of this many bytes (not 0) begins. The next scan must start after them.
    Chunk(u64),
    /// The body and its trailers are complete.
    End,
}

impl Scan {
    /// Returns how many bytes of `input` were consumed, and why the scan stopped.
    pub(super) fn scan(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, Found), Fault> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if matches!(self.state, State::Trailers) {
                let found = self.trailers(&input[at..], limits)?;
                return Ok((at + found.0, found.1));
            }
            at += 1;
            self.state = match self.state {
                State::Size => self.size(byte)?,
                State::Extensions(extension) if byte == b'\r' => match extension.may_end() {
                    true => State::SizeCr,
                    false => return Err(MALFORMED),
                },
                State::Extensions(extension) => State::Extensions(extension.next(byte)?),
                State::SizeCr if byte != b'\n' => {
                    return Err(Fault::bad_request("a bare CR in a chunk's size line"));
                }
                State::SizeCr if self.size == 0 => State::Trailers,
                State::SizeCr => {
                    self.state = State::DataEnd;
                    return Ok((at, Found::Chunk(self.size)));
                }
                State::DataEnd if byte == b'\r' => State::DataCr,
                State::DataCr if byte == b'\n' => {
                    (self.size, self.digits, self.line_bytes) = (0, 0, 0);
                    State::Size
                }
                _ => {
                    return Err(Fault::bad_request(
                        "a chunk does not end where its size says",
                    ));
                }
            };
            if matches!(self.state, State::Size | State::Extensions(_)) {
                self.line_bytes += usize::from(self.digits > 0);
                if self.line_bytes > limits.line_bytes_max {
                    return Err(Fault::bad_request("a chunk's size line is too long"));
                }
            }
        }
        Ok((at, Found::More))
    }

    fn size(&mut self, byte: u8) -> Result<State, Fault> {
        match (char::from(byte).to_digit(16), byte) {
            (Some(_), _) if self.digits == DIGITS_MAX => {
                Err(Fault::bad_request("a chunk's size is too large"))
            }
            (Some(digit), _) => {
                self.digits += 1;
                self.size = self.size << 4 | u64::from(digit);
                Ok(State::Size)
            }
            (None, b'\r') if self.digits > 0 => Ok(State::SizeCr),
            (None, b';') if self.digits > 0 => Ok(State::Extensions(ExtensionState::BeforeName)),
            (None, b' ' | b'\t') if self.digits > 0 => {
                Ok(State::Extensions(ExtensionState::BeforeSemicolon))
            }
            _ => Err(Fault::bad_request("a chunk's size is malformed")),
        }
    }

    fn trailers(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, Found), Fault> {
        let bytes_left = limits.head_bytes_max - self.trailer_bytes;
        let input = &input[..input.len().min(bytes_left)];
        let mut at = 0;
        loop {
            match self.trailers.scan(input, &mut at, limits.fields_max)? {
                fields::Found::Field => {}
                fields::Found::End => return Ok((at, Found::End)),
                fields::Found::More => break,
            }
        }
        self.trailer_bytes += at;
        // The limit is reached before the end.
        if self.trailer_bytes == limits.head_bytes_max {
            return Err(Fault::FIELDS_TOO_LONG);
        }
        Ok((at, Found::More))
    }
}
