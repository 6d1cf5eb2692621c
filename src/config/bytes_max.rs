//! A bound in bytes, or as a share of the file system.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::lenient::LenientString;

/// A smaller bound would be mostly pages that are never full.
const BYTES_MIN: u64 = 1 << 20;
/// 1 PiB: SQLite's own limit is lower.
const BYTES_MAX: u64 = 1 << 50;
const PERCENT_MAX: u64 = 100;

/// Written as a number of bytes, or as a percentage of the file system: `"25%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "LenientString", into = "String")]
pub(crate) enum BytesMax {
    /// A number of bytes.
    Bytes(u64),
    /// 1 to 100.
    Percent(u64),
}

impl BytesMax {
    /// The bound in bytes, in a file system of this size.
    pub fn of(self, disk_bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            // Divided first: it cannot overflow.
            Self::Percent(percent) => disk_bytes / 100 * percent,
        }
    }
}

impl TryFrom<LenientString> for BytesMax {
    type Error = String;

    fn try_from(LenientString(text): LenientString) -> Result<Self, String> {
        let (number, is_percentage) = match text.strip_suffix('%') {
            Some(number) => (number, true),
            None => (text.as_str(), false),
        };
        // Not "+25", which a number may be written as elsewhere.
        let is_whole = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match (is_percentage, number.parse()) {
            (true, Ok(percent)) if is_whole && (1..=PERCENT_MAX).contains(&percent) => {
                Ok(Self::Percent(percent))
            }
            (false, Ok(bytes)) if is_whole && (BYTES_MIN..=BYTES_MAX).contains(&bytes) => {
                Ok(Self::Bytes(bytes))
            }
            _ => Err(format!(
                "{text:?} is not valid: write a percentage of the file system from \"1%\" to \"{PERCENT_MAX}%\", \
                 a whole number of bytes from {BYTES_MIN} to {BYTES_MAX}, or \"\" for no bound"
            )),
        }
    }
}

impl fmt::Display for BytesMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl From<BytesMax> for String {
    fn from(bytes_max: BytesMax) -> Self {
        bytes_max.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BytesMax, String> {
        LenientString(text.to_owned()).try_into()
    }

    #[test]
    fn a_bound_is_a_number_of_bytes_or_a_percentage() {
        assert_eq!(parse("10000000000"), Ok(BytesMax::Bytes(10_000_000_000)));
        for text in ["1%", "25%", "100%", "1048576"] {
            assert_eq!(
                parse(text).map(|bound| bound.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn other_texts_are_no_bounds() {
        for text in [
            "25 %", "0%", "101%", "-5%", "+5%", "2.5%", "%", "25%%", "10GB", "3 days", "1048575",
            "1e9", "",
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains("\"1%\" to \"100%\""), "{message}");
        }
    }

    #[test]
    fn a_percentage_is_of_the_file_system() {
        assert_eq!(BytesMax::Percent(25).of(40_000_000_000), 10_000_000_000);
        assert_eq!(BytesMax::Percent(100).of(u64::MAX), u64::MAX / 100 * 100);
        assert_eq!(BytesMax::Bytes(1 << 20).of(0), 1 << 20);
    }
}
