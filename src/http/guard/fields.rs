//! Field lines, byte by byte: the same rules for a head and for trailers.

use super::Fault;
use super::byte_class::{self, TOKEN};

/// A scan of field lines that can stop at any byte and go on from there.
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
    /// A CR has ended a line.
    LineCr,
    /// A CR has begun the empty line.
    LastCr,
}

/// Why a scan has stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All bytes are looked at.
    More,
    /// A field line ends just before the position.
    Field,
    /// The empty line ends just before the position.
    End,
}

impl Fields {
    /// Scans on from `*at`, which is left behind the last byte looked at.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        fields_max: usize,
    ) -> Result<Found, Fault> {
        while let Some(&byte) = bytes.get(*at) {
            match self.state {
                State::LineStart => self.line_start(byte, *at, fields_max)?,
                State::Name => {
                    *at += byte_class::count(&bytes[*at..], TOKEN);
                    let Some(&byte) = bytes.get(*at) else { break };
                    self.name_end = *at;
                    self.state = name_end(byte)?;
                }
                State::Value => {
                    *at += byte_class::count_text(&bytes[*at..]);
                    let Some(&byte) = bytes.get(*at) else { break };
                    self.state = value_end(byte)?;
                }
                State::LineCr | State::LastCr if byte != b'\n' => {
                    return Err(Fault::bad("a bare CR in a field line"));
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

    fn line_start(&mut self, byte: u8, at: usize, fields_max: usize) -> Result<(), Fault> {
        self.state = match byte {
            b'\r' => State::LastCr,
            b'\n' => return Err(Fault::bad("a bare LF")),
            b' ' | b'\t' => return Err(Fault::bad("a field line begins with white space")),
            _ if self.count >= fields_max => return Err(Fault::TOO_MANY_FIELDS),
            b':' => return Err(Fault::bad("a field without a name")),
            _ if byte_class::is(byte, TOKEN) => State::Name,
            _ => return Err(Fault::bad("a field's name is malformed")),
        };
        if matches!(self.state, State::Name) {
            self.count += 1;
            self.name_start = at;
        }
        Ok(())
    }

    /// After [`Found::Field`]: where its line begins. Only of use as [`Fields::field`] is.
    pub(super) fn begin(&self) -> usize {
        self.name_start
    }

    /// After [`Found::Field`] at `end`: the field's name and its value without white space around it. Only of use
    /// where every scan saw the same bytes from their beginning.
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
        b' ' | b'\t' => Err(Fault::bad("white space in or after a field's name")),
        b'\n' => Err(Fault::bad("a bare LF")),
        b'\r' => Err(Fault::bad("a field line without a colon")),
        _ => Err(Fault::bad("a field's name is malformed")),
    }
}

fn value_end(byte: u8) -> Result<State, Fault> {
    match byte {
        b'\r' => Ok(State::LineCr),
        b'\n' => Err(Fault::bad("a bare LF")),
        _ => Err(Fault::bad("a control character in a field's value")),
    }
}
