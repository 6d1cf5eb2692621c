//! Chunk extensions, which may follow a chunk's size (RFC 9112 7.1.1), byte by byte:
//! `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.

use super::Fault;
use super::byte_class::{self, TEXT, TOKEN};

/// The position in that grammar.
#[derive(Clone, Copy, Debug)]
pub(super) enum ExtensionState {
    /// In the white space after the size or a value: only another extension can follow.
    BeforeSemicolon,
    /// After `;`.
    BeforeName,
    Name,
    /// In the white space after a name.
    AfterName,
    /// After `=`.
    BeforeValue,
    Token,
    Quoted,
    /// After a backslash.
    QuotedPair,
    /// After the closing quote.
    QuoteEnd,
}

impl ExtensionState {
    /// Whether the line may end here.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::QuoteEnd)
    }

    /// The position after one more byte of the line.
    pub(super) fn next(self, byte: u8) -> Result<Self, Fault> {
        let is_blank = matches!(byte, b' ' | b'\t');
        let is_token = byte_class::is(byte, TOKEN);
        match self {
            _ if !byte_class::is(byte, TEXT) => Err(Fault::bad_request(
                "a control character in a chunk extension",
            )),
            Self::QuotedPair => Ok(Self::Quoted),
            Self::Quoted => Ok(match byte {
                b'"' => Self::QuoteEnd,
                b'\\' => Self::QuotedPair,
                _ => Self::Quoted,
            }),
            Self::BeforeSemicolon | Self::BeforeName | Self::AfterName | Self::BeforeValue
                if is_blank =>
            {
                Ok(self)
            }
            Self::Name if is_blank => Ok(Self::AfterName),
            Self::Token | Self::QuoteEnd if is_blank => Ok(Self::BeforeSemicolon),
            Self::BeforeName | Self::Name if is_token => Ok(Self::Name),
            Self::BeforeValue | Self::Token if is_token => Ok(Self::Token),
            Self::BeforeValue if byte == b'"' => Ok(Self::Quoted),
            Self::Name | Self::AfterName if byte == b'=' => Ok(Self::BeforeValue),
            Self::BeforeName | Self::BeforeValue => Err(MALFORMED),
            _ if byte == b';' => Ok(Self::BeforeName),
            _ => Err(MALFORMED),
        }
    }
}

/// Also used where the line ends too early.
pub(super) const MALFORMED: Fault = Fault::bad_request("a chunk's size line is malformed");
