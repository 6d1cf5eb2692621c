//! Durations, counted in buckets whose width grows with them: four for each doubling, so a quantile is off by an eighth at
//! most.

/// From 0 to 2.4 hours; the last one takes all that is longer.
const BUCKETS: usize = 128;

/// Counts of durations in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Histogram {
    counts: Box<[u64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
        }
    }
}

impl Histogram {
    pub fn add(&mut self, micros: u64) {
        self.counts[index(micros)] += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += more;
        }
    }

    /// The duration that this share of all does not exceed, in microseconds; none if there are none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let total: u64 = self.counts.iter().sum();
        let rank = (share * total as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            if below + count >= rank {
                // As if the durations were spread evenly over the bucket.
                let part = (rank - below) as f64 / *count as f64;
                let (from, to) = (lowest(index), lowest(index + 1) - 1);
                return Some(from + ((to - from) as f64 * part) as u64);
            }
            below += count;
        }
        None
    }

    /// For the database: the buckets that are not empty, each as its number and its count in base 128 (LEB128).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, count) in (0u8..).zip(self.counts.iter()) {
            if *count == 0 {
                continue;
            }
            bytes.push(index);
            let mut rest = *count;
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        bytes
    }

    /// Bytes that are not from [`Histogram::to_bytes`] give some histogram.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut histogram = Self::default();
        let mut bytes = bytes.iter();
        while let Some(index) = bytes.next() {
            let mut count = 0u64;
            for (shift, byte) in (0u32..63).step_by(7).zip(bytes.by_ref()) {
                count |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let index = usize::from(*index).min(BUCKETS - 1);
            histogram.counts[index] = histogram.counts[index].saturating_add(count);
        }
        histogram
    }
}

/// The bucket of a duration: the position of its highest bit, and the two bits after it.
fn index(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let highest = micros.ilog2();
    let next_two = (micros >> (highest - 2)) & 3;
    let index = (highest - 1) * 4 + next_two as u32;
    (index as usize).min(BUCKETS - 1)
}

/// The shortest duration of a bucket.
fn lowest(index: usize) -> u64 {
    match index {
        0..4 => index as u64,
        _ => (4 + index as u64 % 4) << (index / 4 - 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(durations: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        durations.iter().for_each(|micros| histogram.add(*micros));
        histogram
    }

    #[test]
    fn each_bucket_begins_where_the_last_one_ends() {
        for bucket in 0..BUCKETS - 1 {
            let next = lowest(bucket + 1);
            assert_eq!(
                (index(lowest(bucket)), index(next - 1), index(next)),
                (bucket, bucket, bucket + 1)
            );
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(histogram(&[]).quantile(0.5), None);
        assert_eq!(histogram(&[0]).quantile(0.0), Some(0));
    }

    #[test]
    fn any_bytes_are_some_histogram() {
        for bytes in [&[200u8, 255, 255, 255][..], &[1], &[0xff; 64]] {
            Histogram::from_bytes(bytes);
        }
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_an_eighth_or_two_of_the_true_one(
            mut durations in prop::collection::vec(0u64..10_000_000_000, 1..300),
            share in 0.01f64..1.0,
        ) {
            durations.iter_mut().for_each(|micros| *micros = (*micros).min(8_000_000_000));
            let quantile = histogram(&durations).quantile(share).expect("a quantile");
            durations.sort_unstable();
            let rank = (share * durations.len() as f64).ceil() as usize;
            let exact = durations[rank - 1];
            let error = quantile.abs_diff(exact);
            prop_assert!(error <= 1 + exact / 4, "{quantile} for {exact}");
        }

        #[test]
        fn a_stored_histogram_is_read_back(durations in prop::collection::vec(any::<u64>(), 0..300), more in any::<u32>()) {
            let mut histogram = histogram(&durations);
            histogram.counts[7] += u64::from(more) << 20;
            prop_assert_eq!(Histogram::from_bytes(&histogram.to_bytes()), histogram);
        }
    }
}
