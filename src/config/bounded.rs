//! Numbers and durations whose type carries their bounds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lenient::LenientString;

/// For counts without a bound of their own: more than any machine can use, too few to overflow.
const NUMBER_MAX: usize = 10_000_000;
/// In seconds. The longest duration: a clock plus a year does not overflow.
pub const YEAR: u64 = 365 * 24 * 60 * 60;
/// The units of a duration, the largest first, in nanoseconds.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "LenientString")]
pub struct BoundedNumber<const MIN: usize, const MAX: usize = NUMBER_MAX>(usize);

impl<const MIN: usize, const MAX: usize> BoundedNumber<MIN, MAX> {
    /// The number.
    pub fn get(self) -> usize {
        self.0
    }

    /// This number or `ceiling`, whichever is lower, but at least `MIN`.
    pub fn at_most(self, ceiling: usize) -> Self {
        Self(self.0.min(ceiling).max(MIN))
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<LenientString> for BoundedNumber<MIN, MAX> {
    type Error = String;

    fn try_from(LenientString(text): LenientString) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => Err(format!(
                "{text:?} is not valid: write a whole number from {MIN} to {MAX}, without a unit"
            )),
        }
    }
}

/// A duration from `MIN` nanoseconds to `MAX` seconds, written as a number with a unit: `"5s"`, `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "LenientString", into = "String")]
pub(crate) struct BoundedDuration<const MIN: u64, const MAX: u64>(Duration);

impl<const MIN: u64, const MAX: u64> BoundedDuration<MIN, MAX> {
    /// The duration.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<LenientString> for BoundedDuration<MIN, MAX> {
    type Error = String;

    fn try_from(LenientString(text): LenientString) -> Result<Self, String> {
        // humantime reads "0" as zero seconds.
        let is_bare_number = text.trim().parse::<f64>().is_ok();
        let duration = humantime::parse_duration(&text);
        let Some(duration) = duration.ok().filter(|_| !is_bare_number) else {
            let is_whole = text.parse::<u32>().is_ok();
            let number = if is_whole { &text } else { "5" };
            return Err(format!(
                "{text:?} is not a duration: write a number with a unit, such as \"{number}s\", \"200ms\" or \"15m\""
            ));
        };
        let min = Self(Duration::from_nanos(MIN));
        if (min.0..=Duration::from_secs(MAX)).contains(&duration) {
            return Ok(Self(duration));
        }
        let days = MAX / (24 * 60 * 60);
        let least = match MIN {
            1 => "above \"0s\"".to_owned(),
            _ => format!("from \"{min}\""),
        };
        Err(format!(
            "{text:?} is out of range: write a duration {least} up to \"{days}d\", such as \"5s\""
        ))
    }
}

/// In the largest unit that gives a whole number: `75s`, `15m`.
impl<const MIN: u64, const MAX: u64> fmt::Display for BoundedDuration<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let fits = |(_, size): &(&str, u128)| nanos.is_multiple_of(*size) && nanos > 0;
        let (unit, size) = UNITS.into_iter().find(fits).unwrap_or(("s", 1));
        write!(f, "{}{unit}", nanos / size)
    }
}

impl<const MIN: u64, const MAX: u64> From<BoundedDuration<MIN, MAX>> for String {
    fn from(duration: BoundedDuration<MIN, MAX>) -> Self {
        duration.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Delay = BoundedDuration<0, YEAR>;

    fn parse(text: &str) -> Result<Delay, String> {
        LenientString(text.to_owned()).try_into()
    }

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, millis) in [
            ("5s", 5_000),
            ("200ms", 200),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(text), Ok(BoundedDuration(duration)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in [
            "",
            "s",
            "5",
            "0",
            "1.5",
            "-5",
            "1e3",
            " 5 ",
            "5 parsecs",
            "-5s",
            "∞",
            "99999999999999999999s",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("write a number with a unit"), "{message}");
        }
        assert!(parse("30").unwrap_err().contains("such as \"30s\""));
        assert!(parse("366d").unwrap_err().contains("out of range"));
    }

    #[test]
    fn the_largest_exact_unit_is_written() {
        for text in ["75s", "15m", "200ms", "90m", "2h", "0s", "1001us", "7ns"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_lower_ceiling_keeps_a_number_within_its_bounds() {
        let number = BoundedNumber::<2, 9>(5);
        let lowered = [9, 4, 0].map(|ceiling| number.at_most(ceiling).get());
        assert_eq!(lowered, [5, 4, 2]);
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back(nanos in 0..=YEAR * 1_000_000_000) {
            let duration = BoundedDuration(Duration::from_nanos(nanos));
            prop_assert_eq!(parse(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
