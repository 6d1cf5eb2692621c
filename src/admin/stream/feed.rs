//! [`Feed`]: decides which of the new records the streams of one filter show.

use std::collections::BTreeMap;
use std::mem;
use std::time::{Duration, Instant};

use super::event::{Event, Gap};
use crate::query::Filter;
use crate::store::{Found, StoredRecord};

/// Records a second; after a pause, as many at once.
const RECORDS_PER_SECOND: f64 = 200.0;
/// A record counts once more for each such part of its path, so that long paths do not take much memory.
const PATH_BYTES: usize = 1024;
/// How long a record may wait for its outcome.
const OUTCOME_WAIT_MAX: Duration = Duration::from_secs(60);
/// Records that wait for their outcome; beyond that the oldest no longer does.
const WAITING_MAX: usize = 10_000;

/// Filters the records, and bounds their rate.
pub(crate) struct Feed {
    filter: Filter,
    /// The filter without its status, if it has one: the outcome decides later about a record that has none yet.
    any_status: Option<Filter>,
    allowance: f64,
    allowed_at: Instant,
    /// Records without an outcome, by id.
    waiting: BTreeMap<i64, Waiting>,
    gap: Option<Gap>,
}

struct Waiting {
    since: Instant,
    /// Else the filter will want it, or not, when its outcome comes.
    is_shown: bool,
}

impl Feed {
    pub fn new(filter: Filter, now: Instant) -> Self {
        let any_status = filter.has_status().then(|| filter.without_status());
        Self {
            filter,
            any_status,
            allowance: RECORDS_PER_SECOND,
            allowed_at: now,
            waiting: BTreeMap::new(),
            gap: None,
        }
    }

    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The records that wait for their outcome.
    pub fn unfinished(&self) -> impl Iterator<Item = i64> {
        self.waiting.keys().copied()
    }

    /// The events of what was found.
    pub fn events(&mut self, found: &Found, now: Instant) -> Vec<Event> {
        let seconds = now.duration_since(mem::replace(&mut self.allowed_at, now));
        let earned = seconds.as_secs_f64() * RECORDS_PER_SECOND;
        self.allowance = (self.allowance + earned).min(RECORDS_PER_SECOND);
        let mut events = Vec::new();
        for record in &found.finished {
            match self.waiting.remove(&record.id) {
                Some(Waiting { is_shown: true, .. }) => events.push(Event::Outcome {
                    id: record.id,
                    status: record.status,
                    duration_us: record.duration_us,
                }),
                Some(_) if self.filter.matches(record) => events.extend(self.show(record)),
                _ => {}
            }
        }
        for record in &found.records {
            let is_open = record.status.is_none();
            if self.filter.matches(record) {
                let shown = self.show(record);
                if is_open && shown.is_some() {
                    self.wait(record.id, true, now);
                }
                events.extend(shown);
            } else if is_open
                && let Some(any_status) = &self.any_status
                && any_status.matches(record)
            {
                self.wait(record.id, false, now);
            }
        }
        if let Some(unread) = &found.unread {
            self.skip(Gap::of(unread.clone()));
        }
        self.waiting
            .retain(|_, waiting| now.duration_since(waiting.since) < OUTCOME_WAIT_MAX);
        events.extend(self.gap.take().map(Event::Gap));
        events
    }

    fn show(&mut self, record: &StoredRecord) -> Option<Event> {
        let cost = cost(record) as f64;
        if self.allowance < cost {
            self.skip(Gap::of(record.id..=record.id));
            return None;
        }
        self.allowance -= cost;
        Some(Event::Request(record.clone()))
    }

    fn skip(&mut self, more: Gap) {
        self.gap = Some(self.gap.map_or(more, |gap| gap.with(more)));
    }

    fn wait(&mut self, id: i64, is_shown: bool, since: Instant) {
        self.waiting.insert(id, Waiting { since, is_shown });
        if self.waiting.len() > WAITING_MAX
            && let Some((id, oldest)) = self.waiting.pop_first()
            && !oldest.is_shown
        {
            self.skip(Gap::of(id..=id));
        }
    }
}

/// How many records of usual length it counts for.
pub(crate) fn cost(record: &StoredRecord) -> usize {
    1 + record.path.len() / PATH_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Time;

    fn record(id: i64, status: Option<i64>) -> StoredRecord {
        StoredRecord {
            id,
            timestamp: Some(1.5),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            content_length: 0,
            remote_addr: None,
            status,
            duration_us: status,
        }
    }

    fn new(ids: std::ops::RangeInclusive<i64>, status: Option<i64>) -> Found {
        Found {
            records: ids.map(|id| record(id, status)).collect(),
            ..Found::default()
        }
    }

    fn finished(record: StoredRecord) -> Found {
        Found {
            finished: vec![record],
            ..Found::default()
        }
    }

    fn feed(status: Option<&str>, now: Instant) -> Feed {
        let pairs = status.map(|status| ("status", status));
        Feed::new(Filter::parse(pairs, Time::now()).expect("a status"), now)
    }

    fn names(events: &[Event]) -> Vec<(&'static str, i64)> {
        events.iter().map(|e| (e.name(), e.id())).collect()
    }

    #[test]
    fn the_rate_is_200_a_second_and_after_a_pause_200_at_once() {
        let begin = Instant::now();
        let mut feed = feed(None, begin);
        let mut shown_at = |millis, ids| {
            let events = feed.events(&new(ids, Some(200)), begin + Duration::from_millis(millis));
            let is_request = |event: &&Event| matches!(event, Event::Request(_));
            events.iter().filter(is_request).count()
        };
        assert_eq!(shown_at(0, 1..=300), 200);
        assert_eq!(shown_at(100, 301..=600), 20);
        assert_eq!(shown_at(200, 601..=900), 20);
        assert_eq!(shown_at(60_000, 901..=1200), 200);
    }

    #[test]
    fn a_record_without_an_outcome_waits_for_it_a_minute() {
        let begin = Instant::now();
        let mut all = feed(None, begin);
        let mut errors = feed(Some("5xx"), begin);
        for feed in [&mut all, &mut errors] {
            feed.events(&new(1..=2, None), begin);
            assert_eq!(feed.unfinished().collect::<Vec<_>>(), [1, 2]);
        }
        let failed = finished(record(1, Some(500)));
        assert_eq!(names(&all.events(&failed, begin)), [("outcome", 1)]);
        assert_eq!(names(&errors.events(&failed, begin)), [("request", 1)]);
        let fine = finished(record(2, Some(200)));
        assert_eq!(names(&all.events(&fine, begin)), [("outcome", 2)]);
        assert_eq!(names(&errors.events(&fine, begin)), []);
        for feed in [&mut all, &mut errors] {
            feed.events(&new(3..=3, None), begin);
            assert_eq!(feed.unfinished().count(), 1);
            feed.events(&Found::default(), begin + OUTCOME_WAIT_MAX);
            assert_eq!(feed.unfinished().count(), 0);
        }
    }

    #[test]
    fn a_record_that_no_longer_waits_for_its_outcome_is_part_of_a_gap() {
        let begin = Instant::now();
        let mut feed = feed(Some("5xx"), begin);
        let last = WAITING_MAX as i64;
        assert_eq!(names(&feed.events(&new(1..=last, None), begin)), []);
        let events = feed.events(&new(last + 1..=last + 2, None), begin);
        assert_eq!(events, [Event::Gap(Gap::of(1..=2))]);
        assert_eq!(feed.unfinished().count(), WAITING_MAX);
    }
}
