//! Durations as the configuration writes them: a number with a unit.

use std::time::Duration;

/// Far above any use, and low enough that adding it to a clock cannot overflow.
const MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The units `format` writes, the largest first, in nanoseconds.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `"5s"`, `"200ms"` or `"1h30m"`, at most 365 days. A number without a unit is an error, zero included, because
/// the reader of a configuration would have to guess the unit.
///
/// # Errors
/// One line: what was found and what would be right.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let bare = text.trim().parse::<f64>().is_ok();
    match humantime::parse_duration(text) {
        Ok(duration) if !bare && duration <= MAX => Ok(duration),
        Ok(_) if !bare => Err(format!("{text:?} is too long: 365d is the most")),
        _ => Err(format!(
            "{text:?} is not a duration: write a number with a unit, such as {}",
            if bare {
                suggestion(text.trim())
            } else {
                "\"5s\", \"200ms\" or \"15m\"".to_owned()
            }
        )),
    }
}

/// Whoever wrote `5` most likely meant seconds.
fn suggestion(number: &str) -> String {
    if number == "5" || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return "\"5s\", \"200ms\" or \"15m\"".to_owned();
    }
    format!("\"{number}s\", \"200ms\" or \"15m\"")
}

/// Writes a duration with the largest single unit that loses nothing: `75s`, `15m`, `0s`.
pub(super) fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (unit, size) = UNITS
        .into_iter()
        .find(|(_, size)| nanos.is_multiple_of(*size))
        .unwrap_or(("ns", 1));
    format!("{}{unit}", nanos / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_understood() {
        for (text, millis) in [
            ("5s", 5_000),
            ("200ms", 200),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_advice() {
        for text in ["5", "0", "1.5", "-5", "1e3", " 5 "] {
            let message = parse(text).unwrap_err();
            assert!(
                message.contains("is not a duration: write a number with a unit, such as"),
                "{message}"
            );
        }
        assert!(parse("30").unwrap_err().contains("\"30s\""));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "s",
            "5 parsecs",
            "-5s",
            "∞",
            "366d",
            "99999999999999999999s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_largest_exact_unit_is_written() {
        for text in ["75s", "15m", "200ms", "90m", "2h", "0s", "1001us", "7ns"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in 0..=MAX.as_nanos() as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn nothing_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
