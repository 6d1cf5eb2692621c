//! The figures that a client asks for.

use super::bucket::Bucket;
use super::filter::Filter;
use super::parameter::{Parameter, ParameterError, set_once};
use super::time::Time;

/// Buckets in one response: a day of minutes, and a bit. More are capped: the latest are left.
const BUCKETS_MAX: i64 = 1500;
/// The default `top`.
const TOP: usize = 10;
/// The largest `top`; more is capped.
const TOP_MAX: usize = 100;

/// The figures of the records that a filter wants, from a beginning to an end that are whole buckets.
#[derive(Clone, Debug)]
pub(crate) struct StatsQuery {
    /// Its times are `since` and `until`.
    pub(super) filter: Filter,
    pub(super) bucket: Bucket,
    pub(super) since: Time,
    pub(super) until: Time,
    pub(super) top: usize,
    /// `since` is later than asked for.
    pub(super) is_capped: bool,
}

impl StatsQuery {
    /// The parameters besides the filter's.
    pub const PARAMETERS: [Parameter; 2] = [
        Parameter {
            name: "bucket",
            help: "The time that is added up to one point. The default is 1m.",
            pattern: Some("^(10s|1m|5m|1h|1d)$"),
            is_repeatable: false,
        },
        Parameter {
            name: "top",
            help: "How many of the most frequent paths, methods and addresses to list: 10 by default, 100 at most.",
            pattern: Some("^[0-9]{1,9}$"),
            is_repeatable: false,
        },
    ];

    /// Reads pairs of name and value.
    pub fn parse<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Time,
    ) -> Result<Self, ParameterError> {
        let (mut bucket, mut top) = (None, None);
        let filter = Filter::parse_beside(&Self::PARAMETERS, parameters, now, |name, value| {
            let wrong = |instead: &str| ParameterError::new(name, value, instead);
            match name {
                "bucket" => {
                    let found = Bucket::parse(value);
                    let found = found.ok_or_else(|| wrong("use 10s, 1m, 5m, 1h or 1d"))?;
                    set_once(name, &mut bucket, found)?;
                }
                "top" => {
                    let found = whole_number(value).ok_or_else(|| wrong("use a number from 0"))?;
                    set_once(name, &mut top, found.min(TOP_MAX))?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let bucket = bucket.unwrap_or(Bucket::Minute);
        Ok(Self::new(filter, bucket, top.unwrap_or(TOP), now))
    }

    /// Widens the filter's times to whole buckets.
    fn new(mut filter: Filter, bucket: Bucket, top: usize, now: Time) -> Self {
        let step = bucket.seconds();
        let until = filter.until.unwrap_or(now);
        // The end of the bucket that has begun. A bucket has no microsecond less than its end.
        let until = match until.floor(step) {
            whole if whole == until => until,
            whole => whole.add(step),
        };
        let wanted = match filter.since {
            Some(since) => since.floor(step),
            None => until.add(-bucket.default_seconds()),
        };
        let since = wanted.max(until.add(-step * BUCKETS_MAX));
        filter.since = Some(since);
        filter.until = Some(until);
        Self {
            filter,
            bucket,
            since,
            until,
            top,
            is_capped: since != wanted,
        }
    }
}

/// Digits alone; a number that is too large for the machine is the largest.
pub(super) fn whole_number(text: &str) -> Option<usize> {
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| text.parse().unwrap_or(usize::MAX))
}
