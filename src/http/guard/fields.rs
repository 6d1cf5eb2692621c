//! Field lines, byte by byte: the same rules for a head and for trailers.

use super::Fault;
use super::byte_class::{self, TOKEN};

/// A resumable scan of field lines: it can stop at any byte.
#[derive(Debug, Default)]
pub(super) struct Fields {
    state: State,
    /// Lines begun.
    count: usize,
    name_start: usize,
    name_end: usize,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    LineStart,
    Name,
    Value,
    /// After the CR that ends a line.
    LineCr,
    /// After the CR of the empty line.
    LastCr,
}

/// Why a scan has stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It needs more bytes.
    More,
    /// A field line ends just before the position.
    Field,
    /// The empty line ends just before the position.
    End,
}

impl Fields {
    /// Continues from `*at`, and leaves it after the last byte that was read.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        fields_max: usize,
    ) -> Result<Found, Fault> {
        while let Some(&byte) = bytes.get(*at) {
            match self.state {
                State::LineStart => self.begin_line(byte, *at, fields_max)?,
                State::Name => {
                    *at += byte_class::prefix_len(&bytes[*at..], TOKEN);
                    let Some(&byte) = bytes.get(*at) else { break };
                    self.name_end = *at;
                    self.state = name_end(byte)?;
                }
                State::Value => {
                    *at += byte_class::text_prefix_len(&bytes[*at..]);
                    let Some(&byte) = bytes.get(*at) else { break };
                    self.state = value_end(byte)?;
                }
                State::LineCr | State::LastCr if byte != b'\n' => {
                    return Err(Fault::bad_request("a bare CR in a field line"));
                }
                State::LineCr => {
                    *at += 1;
                    self.state = State::LineStart;
                    return Ok(Found::Field);
                }
                State::LastCr => {
                    *at += 1;
                    return Ok(Found::End);
                }
            }
            *at += 1;
        }
        Ok(Found::More)
    }

    fn begin_line(&mut self, byte: u8, at: usize, fields_max: usize) -> Result<(), Fault> {
        self.state = match byte {
            b'\r' => State::LastCr,
            b'\n' => return Err(Fault::bad_request("a bare LF")),
            b' ' | b'\t' => return Err(Fault::bad_request("a field line begins with white space")),
            _ if self.count >= fields_max => return Err(Fault::TOO_MANY_FIELDS),
            b':' => return Err(Fault::bad_request("a field without a name")),
            _ if byte_class::is(byte, TOKEN) => State::Name,
            _ => return Err(Fault::bad_request("a field's name is malformed")),
        };
        if matches!(self.state, State::Name) {
            self.count += 1;
            self.name_start = at;
        }
        Ok(())
    }

    /// After [`Found::Field`]: where its line starts. The same condition as for [`Fields::field`].
    pub(super) fn line_start(&self) -> usize {
        self.name_start
    }

    /// After [`Found::Field`] at `end`: the field's name and its trimmed value. Valid only if every scan got the same
    /// bytes from their beginning.
    pub(super) fn field<'a>(&self, bytes: &'a [u8], end: usize) -> (&'a [u8], &'a [u8]) {
        (
            &bytes[self.name_start..self.name_end],
            bytes[self.name_end + 1..end - 2].trim_ascii(),
        )
    }
}

fn name_end(byte: u8) -> Result<State, Fault> {
    match byte {
        b':' => Ok(State::Value),
        b' ' | b'\t' => Err(Fault::bad_request("white space in or after a field's name")),
        b'\n' => Err(Fault::bad_request("a bare LF")),
        b'\r' => Err(Fault::bad_request("a field line without a colon")),
        _ => Err(Fault::bad_request("a field's name is malformed")),
    }
}

fn value_end(byte: u8) -> Result<State, Fault> {
    match byte {
        b'\r' => Ok(State::LineCr),
        b'\n' => Err(Fault::bad_request("a bare LF")),
        _ => Err(Fault::bad_request("a control character in a field's value")),
    }
}
