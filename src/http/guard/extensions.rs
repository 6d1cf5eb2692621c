//! What may stand behind a chunk's size (RFC 9112 7.1.1): `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`,
//! byte by byte.

use super::Fault;
use super::byte_class::{self, TEXT, TOKEN};

/// The place in that grammar.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extensions {
    /// In the white space behind the size or a value: only another extension can follow.
    BeforeSemicolon,
    /// Behind `;`.
    BeforeName,
    Name,
    /// In the white space behind a name.
    AfterName,
    /// Behind `=`.
    BeforeValue,
    Token,
    Quoted,
    /// Behind a backslash.
    QuotedPair,
    /// Behind the closing quote.
    QuoteEnd,
}

impl Extensions {
    /// Whether the line may end here.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::QuoteEnd)
    }

    /// The place behind one more byte of the line.
    pub(super) fn next(self, byte: u8) -> Result<Self, Fault> {
        let is_blank = matches!(byte, b' ' | b'\t');
        let is_token = byte_class::is(byte, TOKEN);
        match self {
            _ if !byte_class::is(byte, TEXT) => {
                Err(Fault::bad("a control character in a chunk extension"))
            }
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

/// Also where the line ends too early.
pub(super) const MALFORMED: Fault = Fault::bad("a chunk's size line is malformed");
