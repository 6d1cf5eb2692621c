//! Moments, as parameters and in responses.

use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// What a wrong time should have been.
pub(super) const EXPECTED: &str =
    "use a time as 2030-01-31T10:00:00Z, Unix seconds, or an age such as 15m or 2h";

/// Every text of this pattern is a time.
pub(super) const PATTERN: &str = "^((19|20)[0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?Z|[0-9]{1,10}(\\.[0-9]{1,6})?|[0-9]{1,4}[smhd])$";

/// The years 1 to 9998: a bucket before or after it is still in the calendar.
const CALENDAR: Range<Time> = Time(-62_135_596_800_000_000)..Time(253_370_764_800_000_000);

const MICROS: f64 = 1e6;

/// A moment in microseconds since 1970: as exact as the responses show it, so that a time from a response finds its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(i64);

impl Time {
    pub const EPOCH: Self = Self(0);

    /// The present.
    pub fn now() -> Self {
        Self(Timestamp::try_from(SystemTime::now()).map_or(0, |now| now.as_microsecond()))
    }

    /// From Unix seconds; none if RFC 3339 has no such time.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        // Casting saturates: the largest numbers are no times.
        let micros = (seconds * MICROS).round() as i64;
        let is_time = seconds.is_finite() && Timestamp::from_microsecond(micros).is_ok();
        is_time.then_some(Self(micros))
    }

    /// The last multiple of `step` seconds that is not later.
    pub fn floor(self, step: i64) -> Self {
        let step = step * 1_000_000;
        Self(self.0.div_euclid(step) * step)
    }

    /// Later by so many seconds.
    pub fn add(self, seconds: i64) -> Self {
        Self(self.0 + seconds * 1_000_000)
    }

    pub fn add_micros(self, micros: i64) -> Self {
        Self(self.0 + micros)
    }

    /// How many steps of so many seconds lie between an earlier time and this one.
    pub fn steps_since(self, earlier: Self, step: i64) -> i64 {
        (self.0 - earlier.0).div_euclid(step * 1_000_000)
    }

    /// In Unix seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / MICROS
    }

    /// RFC 3339, Unix seconds, or an age before `now`. None if it is none of them.
    pub fn parse(text: &str, now: Self) -> Option<Self> {
        Self::parse_any(text, now).filter(|time| CALENDAR.contains(time))
    }

    fn parse_any(text: &str, now: Self) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Self::from_seconds(text.parse().ok()?);
        }
        if let Ok(age) = humantime::parse_duration(text) {
            return Self::from_seconds(now.seconds() - age.as_secs_f64());
        }
        // jiff also takes an annotation in brackets, and a space for the T.
        let is_rfc3339 = text
            .as_bytes()
            .get(10)
            .is_some_and(|b| matches!(b, b'T' | b't'))
            && !text.contains('[');
        let time: Timestamp = text.parse().ok().filter(|_| is_rfc3339)?;
        Some(Self(time.as_microsecond()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.6}")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000_000);

    #[test]
    fn a_time_is_rfc_3339_unix_seconds_or_an_age() {
        for (text, seconds) in [
            ("2023-11-14T22:13:20Z", 1_700_000_000.0),
            ("2023-11-14T22:13:20.25Z", 1_700_000_000.25),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000.0),
            ("1700000000", 1_700_000_000.0),
            ("1700000000.000001", 1_700_000_000.000_001),
            ("-1", -1.0),
            ("0", 0.0),
            ("15m", 1_700_000_000.0 - 900.0),
            ("1h 30m", 1_700_000_000.0 - 5400.0),
            ("0s", 1_700_000_000.0),
        ] {
            let time = Time::parse(text, NOW).expect(text);
            assert!((time.seconds() - seconds).abs() < 1e-6, "{text}: {time}");
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "",
            "-",
            ".",
            "1.2.3",
            "1e9",
            "inf",
            "NaN",
            "yesterday",
            "15 minutes ago",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20Z",
            "2023-11-14T22:13:20Z[UTC]",
            "2023-11-14T22:13:20 01:00",
            "2023-13-14T22:13:20Z",
            "99999999999999999999",
            "99999999999999y",
            "-15m",
            "9999-06-01T00:00:00Z",
            "-62135596801",
            "3000y",
        ] {
            assert_eq!(Time::parse(text, NOW), None, "{text}");
        }
    }

    #[test]
    fn a_printed_time_is_read_back_exactly() {
        for micros in [0, 1, -1, 1_700_000_000_123_457, 4_102_444_800_000_001] {
            let text = Time(micros).to_string();
            assert_eq!(Time::parse(&text, NOW), Some(Time(micros)), "{text}");
        }
        assert_eq!(NOW.to_string(), "2023-11-14T22:13:20.000000Z");
    }

    #[test]
    fn a_number_outside_of_the_calendar_is_no_time() {
        for seconds in [f64::NAN, f64::INFINITY, 1e300, -1e300, 1e12] {
            assert_eq!(Time::from_seconds(seconds), None, "{seconds}");
        }
    }
}
