//! Checks on single values. Each names the key it was given in its error.

use super::{
    error::Invalid,
    value::{Bytes, Count, RawDuration, Text},
};
use std::{ops::RangeInclusive, time::Duration};

pub(super) type Checked<T> = Result<T, Invalid>;

/// The whole has to hold its part.
pub(super) fn at_least(
    (whole_key, whole): (&str, usize),
    (part_key, part): (&str, usize),
) -> Checked<()> {
    if whole >= part {
        return Ok(());
    }
    Err(Invalid {
        keys: vec![whole_key.to_owned(), part_key.to_owned()],
        message: format!(
            "`{whole_key}` is {whole}, less than `{part_key}`, {part}: write at least as much"
        ),
    })
}

pub(super) fn count(
    key: &str,
    Count(number): &Count,
    range: RangeInclusive<usize>,
) -> Checked<usize> {
    within(key, *number, range, "a number")
}

pub(super) fn bytes(
    key: &str,
    Bytes(number): &Bytes,
    range: RangeInclusive<usize>,
) -> Checked<usize> {
    within(key, *number, range, "a size in bytes")
}

fn within(key: &str, number: usize, range: RangeInclusive<usize>, what: &str) -> Checked<usize> {
    if range.contains(&number) {
        return Ok(number);
    }
    let message = format!(
        "{number} is out of range: write {what} from {} to {}",
        range.start(),
        range.end()
    );
    Err(Invalid::new(key, message))
}

pub(super) fn above_zero(key: &str, RawDuration(duration): &RawDuration) -> Checked<Duration> {
    if duration.is_zero() {
        return Err(Invalid::new(
            key,
            "\"0s\" would always have passed: write a longer duration, such as \"5s\"",
        ));
    }
    Ok(*duration)
}

pub(super) fn one_of<T: Copy>(
    key: &str,
    Text(text): &Text,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Checked<T> {
    all.iter()
        .copied()
        .find(|word| as_str(*word) == text)
        .ok_or_else(|| {
            let words: Vec<String> = all
                .iter()
                .map(|word| format!("{:?}", as_str(*word)))
                .collect();
            Invalid::new(
                key,
                format!(
                    "{text:?} is not known here: write one of {}",
                    words.join(", ")
                ),
            )
        })
}
