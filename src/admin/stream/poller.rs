//! The poller of a process: reads the new records of all replicas while anybody listens, and hands each feed's events to its
//! streams.

use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::feed::Feed;
use crate::context::Context;
use crate::query::Filter;
use crate::store::{Found, Look, NewestIdError, ReadError, Store};
use crate::telemetry::log_rate_limited;

/// New records that one look reads. The others become a gap. At ten looks a second, 10,000 records a second are filtered.
pub(crate) const RECORDS_MAX: u32 = 1000;
/// Between two looks for late outcomes, which come within a second.
const OUTCOME_INTERVAL: Duration = Duration::from_millis(500);
/// Looks that a stream may lag behind. A slower client is dropped.
const LAG_MAX: usize = 8;

/// A client that begins to listen.
pub(super) struct Join {
    pub filter: Filter,
    pub subscription: oneshot::Sender<Subscription>,
}

/// A client's place in the streams of its filter.
pub(super) struct Subscription {
    /// Events show what is newer.
    pub after: i64,
    pub events: broadcast::Receiver<Bytes>,
}

pub(super) struct Poller {
    pub store: Store,
    pub context: Context,
    pub joins: mpsc::Receiver<Join>,
}

/// The streams of one filter.
struct Group {
    feed: Feed,
    last_id: i64,
    events: broadcast::Sender<Bytes>,
}

impl Poller {
    /// Runs until the server ends. Without a client it waits for one.
    pub async fn run(mut self) {
        while let Some(join) = self.joins.recv().await {
            // From here on the process looks for the newest record; `Context::changed` may have no value yet.
            let newest = self.context.changed();
            let result = match self.store.newest_id(0).await {
                Ok(after) => self.serve(join, after, newest).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => {}
                Err(NewestIdError::Read(ReadError::Closed)) => return,
                Err(error @ NewestIdError::Read(_)) => {
                    log_rate_limited("the records could not be streamed", &error);
                }
                // The writer's next sync fails, too, and ends the process.
                Err(error @ NewestIdError::Sync(_)) => {
                    log_rate_limited("streaming the records ends", &error);
                    return;
                }
            }
        }
    }

    /// Serves streams until the last client has gone. An error ends all streams.
    async fn serve(
        &mut self,
        first: Join,
        mut after: i64,
        mut newest: watch::Receiver<i64>,
    ) -> Result<(), NewestIdError> {
        let mut groups = Vec::new();
        join(&mut groups, first, after);
        let mut outcomes = interval(OUTCOME_INTERVAL);
        outcomes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut look = Look {
                after,
                newest: after,
                records_max: RECORDS_MAX,
                unfinished: Vec::new(),
            };
            tokio::select! {
                biased;
                Some(client) = self.joins.recv() => {
                    join(&mut groups, client, after);
                    continue;
                }
                // The context outlives this.
                _ = newest.changed() => look.newest = *newest.borrow_and_update(),
                _ = outcomes.tick() => look.unfinished = unfinished(&groups),
            }
            groups.retain(|group| group.events.receiver_count() > 0);
            if groups.is_empty() {
                return Ok(());
            }
            if look.newest <= after && look.unfinished.is_empty() {
                continue;
            }
            let next = look.newest.max(after);
            let found = match self.store.look(look).await {
                Ok(found) => found,
                // The next look begins at the same record.
                Err(
                    error
                    @ NewestIdError::Read(ReadError::TimedOut(_) | ReadError::NoConnection(_)),
                ) => {
                    log_rate_limited("looking for new records failed", &error);
                    newest.mark_changed();
                    tokio::time::sleep(OUTCOME_INTERVAL).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            after = next;
            groups = spawn_blocking(move || send(groups, &found))
                .await
                .unwrap_or_else(|error| resume_unwind(error.into_panic()));
        }
    }
}

/// Adds a client to the streams of its filter.
fn join(groups: &mut Vec<Group>, client: Join, after: i64) {
    let Join {
        filter,
        subscription,
    } = client;
    let same = groups.iter().find(|group| *group.feed.filter() == filter);
    let events = match same {
        Some(group) => group.events.subscribe(),
        None => {
            let (sender, events) = broadcast::channel(LAG_MAX);
            groups.push(Group {
                feed: Feed::new(filter, Instant::now()),
                last_id: after,
                events: sender,
            });
            events
        }
    };
    // Fails if the client has gone; the next look removes its group.
    let _ = subscription.send(Subscription { after, events });
}

fn unfinished(groups: &[Group]) -> Vec<i64> {
    let mut ids: Vec<i64> = groups
        .iter()
        .flat_map(|group| group.feed.unfinished())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Filters and encodes on a thread that may block.
fn send(mut groups: Vec<Group>, found: &Found) -> Vec<Group> {
    let now = Instant::now();
    for group in &mut groups {
        let mut text = Vec::new();
        for event in group.feed.events(found, now) {
            event.write_to(&mut text, &mut group.last_id);
        }
        if !text.is_empty() {
            // Fails if the last client has just gone.
            let _ = group.events.send(text.into());
        }
    }
    groups
}
