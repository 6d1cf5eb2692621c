//! `GET /api/stream`: the records of all replicas as server-sent events, while they are committed.

mod event;
mod feed;
mod poller;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tokio::time::interval;

use super::AdminState;
use super::parameters::{borrowed, pairs};
use super::problem::Problem;
use crate::context::Context;
use crate::http::streaming_body::end_when_closing;
use crate::query::{self, Cursor, Filter, Time};
use crate::shutdown::Phase;
use crate::store::Store;
pub(crate) use event::{Event, Gap};
pub(crate) use feed::{Feed, cost};
pub(crate) use poller::RECORDS_MAX;
use poller::{Join, Poller, Subscription};

/// Records that a client with `Last-Event-ID` gets at once.
const REPLAY_RECORDS_MAX: usize = 1000;
/// How long to look for them.
const REPLAY_TIME_MAX: Duration = Duration::from_millis(500);
/// Between two comments, which show that the connection works.
const COMMENT_INTERVAL: Duration = Duration::from_secs(10);
/// The first line: a browser connects again after a second.
const RETRY: &str = "retry: 1000\n\n";

/// All streams of the process.
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    places_max: usize,
    joins: mpsc::Sender<Join>,
}

impl Streams {
    /// Starts the poller. `streams_max` is `admin.streams_max`.
    pub fn start(store: Store, context: Context, streams_max: usize) -> Self {
        let (sender, joins) = mpsc::channel(1);
        let poller = Poller {
            store,
            context,
            joins,
        };
        tokio::spawn(poller.run());
        Self {
            places: Arc::new(Semaphore::new(streams_max)),
            places_max: streams_max,
            joins: sender,
        }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "admin.streams_max = {} streams are open: close one, or ask another replica",
                    self.places_max
                ),
            )
        })
    }

    async fn subscribe(&self, filter: Filter) -> Result<Subscription, Problem> {
        let failed = || {
            let why = "the database cannot be followed: see the log";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)
        };
        let (sender, subscription) = oneshot::channel();
        let join = Join {
            filter,
            subscription: sender,
        };
        self.joins.send(join).await.map_err(|_| failed())?;
        subscription.await.map_err(|_| failed())
    }
}

pub(super) async fn stream(
    State(admin): State<Arc<AdminState>>,
    RawQuery(parameters): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = Filter::parse(borrowed(&pairs(parameters.as_deref())?), Time::now())?;
    let last_id = last_event_id(&headers)?;
    if *admin.phase.borrow() >= Phase::Closing {
        let why = "this replica is stopping: ask another one";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why));
    }
    let place = admin.streams.place()?;
    let Subscription { after, events } = admin.streams.subscribe(filter.clone()).await?;
    let mut begin = RETRY.as_bytes().to_vec();
    if let Some(last_id) = last_id.filter(|id| *id < after) {
        replay(&admin.store, filter, last_id, after, &mut begin).await?;
    }
    let head = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    let body = Body::from_stream(body(begin.into(), events, place));
    let response = (head, body).into_response();
    Ok(end_when_closing(response, &admin.phase))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get("last-event-id").filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("Last-Event-ID: {value:?}: use the id of a record"),
        )
    })
}

/// Writes the oldest records between `last_id` and `newest`, and what is left out as a gap.
async fn replay(
    store: &Store,
    filter: Filter,
    last_id: i64,
    newest: i64,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let page = store.admin_reader().read(move |connection| {
        let deadline = Instant::now() + REPLAY_TIME_MAX;
        let cursor = Cursor::After(last_id);
        query::page(connection, &filter, cursor, REPLAY_RECORDS_MAX, deadline)
    });
    let page = page.await?;
    let mut sent_id = last_id;
    let mut room = REPLAY_RECORDS_MAX;
    let mut next = page.next.unwrap_or(newest);
    for record in page.records {
        // The live events show it.
        if record.id > newest {
            next = newest;
            break;
        }
        let Some(left) = room.checked_sub(cost(&record)) else {
            next = record.id - 1;
            break;
        };
        room = left;
        Event::Request(record).write_to(out, &mut sent_id);
    }
    if next < newest {
        Event::Gap(Gap::of(next + 1..=newest)).write_to(out, &mut sent_id);
    }
    Ok(())
}

/// The client reads too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the client reads too slowly")]
struct SlowClient;

/// An error closes the connection at once: there is no room to say good-bye.
fn body(
    begin: Bytes,
    events: broadcast::Receiver<Bytes>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, SlowClient>> {
    let mut comments = interval(COMMENT_INTERVAL);
    comments.reset();
    let state = (Some(begin), events, comments, place);
    stream::unfold(state, |(begin, mut events, mut comments, place)| async {
        let part = match begin {
            Some(begin) => Ok(begin),
            None => tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => Ok(event),
                    Err(RecvError::Lagged(_)) => Err(SlowClient),
                    Err(RecvError::Closed) => return None,
                },
                _ = comments.tick() => Ok(Bytes::from_static(b":\n\n")),
            },
        };
        Some((part, (None, events, comments, place)))
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::StreamExt;
    use tokio::time::Instant as TokioInstant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_has_comments_and_ends_with_an_error_for_a_slow_client() {
        let (sender, events) = broadcast::channel(2);
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().try_acquire_owned().expect("a place");
        let begun = TokioInstant::now();
        {
            let mut body = pin!(body(Bytes::from_static(b"begin"), events, place));
            let mut next = async || {
                body.next()
                    .await
                    .expect("a part")
                    .map_err(|e| e.to_string())
            };
            assert_eq!(next().await.as_deref(), Ok(&b"begin"[..]));
            for second in [10, 20] {
                assert_eq!(next().await.as_deref(), Ok(&b":\n\n"[..]));
                assert_eq!(begun.elapsed().as_secs(), second);
            }
            sender.send(Bytes::from_static(b"event")).expect("a client");
            assert_eq!(next().await.as_deref(), Ok(&b"event"[..]));
            for _ in 0..3 {
                sender.send(Bytes::from_static(b"event")).expect("a client");
            }
            assert_eq!(next().await, Err("the client reads too slowly".to_owned()));
            assert_eq!(places.available_permits(), 0);
        }
        assert_eq!(places.available_permits(), 1);
    }
}
