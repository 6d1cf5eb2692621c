//! [`Feed`]: what the streams of one filter show of the new records.

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
