//! The store as a handler sees it: its writes join the record of its own request.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rusqlite::Savepoint;
use tokio::sync::oneshot;

use super::{AppendError, Outcome, Record, Store, Work};

/// A handler's access to the database; an axum extractor.
///
/// What [`RequestStore::write`] does is committed together with the record of the request that is being handled,
/// in one transaction and before the answer: both are on disk, or neither.
///
/// ```
/// # use axum::{Router, routing::post};
/// # use daybook::store::{RequestStore, WriteError};
/// /// Keeps the body as a note, and answers with the note's number.
/// async fn add_note(store: RequestStore, text: String) -> Result<String, WriteError<rusqlite::Error>> {
///     let id = store
///         .write(move |tx| {
///             tx.execute("insert into notes (text) values (?)", [text])?;
///             Ok(tx.last_insert_rowid())
///         })
///         .await?;
///     Ok(format!("note {id}\n"))
/// }
///
/// let routes = Router::new().route("/notes", post(add_note));
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("requests.db");
/// # let environment = [
/// #     ("DAYBOOK_LISTEN".into(), "127.0.0.1:0".into()),
/// #     ("DAYBOOK_ADMIN__LISTEN".into(), "127.0.0.1:0".into()),
/// #     ("DAYBOOK_DATABASE__PATH".into(), path.clone().into_os_string()),
/// # ];
/// # let config = daybook::config::load_from(None, environment, directory.path()).unwrap().config;
/// # daybook::store::init(&config.database).unwrap();
/// # let database = rusqlite::Connection::open(&path).unwrap();
/// # database.execute_batch("create table notes (id integer primary key, text text not null)").unwrap();
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async move {
/// #     let (stop, stops) = tokio::sync::mpsc::channel(1);
/// #     let (ready, addresses) = tokio::sync::oneshot::channel();
/// #     let served = daybook::serve::serve(config, routes, Default::default(), stops, |at| ready.send(at).unwrap());
/// #     let asked = async {
/// #         let address = addresses.await.unwrap().listen.remove(0);
/// #         let answer = tokio::task::spawn_blocking(move || {
/// #             use std::io::{Read, Write};
/// #             let mut client = std::net::TcpStream::connect(address).unwrap();
/// #             let request = "POST /notes HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
/// #             client.write_all(request.as_bytes()).unwrap();
/// #             let mut answer = String::new();
/// #             client.read_to_string(&mut answer).unwrap();
/// #             answer
/// #         }).await.unwrap();
/// #         stop.send(daybook::shutdown::Stop::Terminate).await.unwrap();
/// #         answer
/// #     };
/// #     let (ended, answer) = tokio::join!(served, asked);
/// #     assert_eq!(ended.unwrap(), daybook::serve::Ended::Drained);
/// #     assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("note 1\n"), "{answer}");
/// # });
/// # let both = "select count(*) from notes join requests on text = 'hello' and content_length = 5";
/// # assert_eq!(database.query_row(both, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
/// ```
#[derive(Clone)]
pub struct RequestStore {
    store: Store,
    progress: Arc<Mutex<Progress>>,
}

struct Progress {
    record: RecordState,
    /// The write that is with the writer. It is kept here and not in the future that waits for it, so that a
    /// handler which gives up waiting (a time-out of its own, say) loses nothing.
    queued: Option<oneshot::Receiver<Outcome>>,
}

/// What has become of this request's record.
enum RecordState {
    /// Not written; none where recording is off.
    Pending(Option<Record>),
    /// On disk, together with a write.
    Committed(Option<i64>),
    /// A write that carried the record was refused.
    Failed(AppendError),
}

impl Progress {
    /// Ready when no write is with the writer; an error is the fate of the one that was.
    fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AppendError>> {
        if let Some(queued) = &mut self.queued {
            let outcome = ready!(Pin::new(queued).poll(context));
            self.queued = None;
            let carried = matches!(self.record, RecordState::Pending(_));
            let error = match outcome {
                Ok(Outcome::Committed(id)) => {
                    if carried {
                        self.record = RecordState::Committed(id);
                    }
                    return Poll::Ready(Ok(()));
                }
                Ok(Outcome::Undone) => return Poll::Ready(Ok(())),
                Ok(Outcome::Rejected(reason)) => AppendError::Rejected(reason),
                Err(_) => AppendError::Unknown,
            };
            if carried {
                self.record = RecordState::Failed(error);
            }
            return Poll::Ready(Err(error));
        }
        Poll::Ready(match self.record {
            RecordState::Failed(error) => Err(error),
            _ => Ok(()),
        })
    }
}

/// Why a [`RequestStore::write`] wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The closure said no; what it had done is undone. Its request is recorded all the same.
    #[error("{0}")]
    Undone(E),
    /// The store refused, as it does when it is overloaded. Whatever the handler now answers, the client reads
    /// 503: without a row there is no other answer.
    #[error(transparent)]
    Store(#[from] AppendError),
}

impl<E: std::fmt::Display> IntoResponse for WriteError<E> {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Undone(error) => {
                tracing::error!(%error, "a write of the application failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        status.into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for RequestStore {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .expect("the recorder gives every request its store"))
    }
}

impl RequestStore {
    pub(crate) fn new(store: Store, record: Option<Record>) -> Self {
        Self {
            store,
            progress: Arc::new(Mutex::new(Progress {
                record: RecordState::Pending(record),
                queued: None,
            })),
        }
    }

    /// Runs `write` on the writer's thread, inside the transaction that carries this request's record, and
    /// returns once it is committed. While it runs nobody else writes, in any replica: keep it to a few
    /// statements, and never `COMMIT` in it. A second call in one request is a transaction of its own.
    ///
    /// # Errors
    /// [`WriteError::Undone`] with the closure's own error, after which nothing of it is left;
    /// [`WriteError::Store`] when nothing could be written.
    ///
    /// # Panics
    /// When `write` does: the panic goes on here, in the handler.
    pub async fn write<T, E>(
        &self,
        write: impl FnOnce(&Savepoint<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (sender, result) = std::sync::mpsc::sync_channel(1);
        let mut work: Option<Work> = Some(Box::new(move |savepoint| {
            let result = catch_unwind(AssertUnwindSafe(|| write(savepoint)));
            let keep = matches!(result, Ok(Ok(_)));
            let _ = sender.send(result);
            keep
        }));
        // One at a time: a second write of the same request waits for the first, whose own caller hears its fate.
        poll_fn(|context| {
            let mut progress = self.progress();
            let _ = ready!(progress.poll_settled(context));
            let record = match &progress.record {
                RecordState::Pending(record) => record.clone(),
                RecordState::Committed(_) => None,
                RecordState::Failed(error) => return Poll::Ready(Err(*error)),
            };
            match self.store.submit(record, work.take()) {
                Ok(outcome) => {
                    progress.queued = Some(outcome);
                    Poll::Ready(Ok(()))
                }
                Err(reason) => {
                    if matches!(progress.record, RecordState::Pending(_)) {
                        progress.record = RecordState::Failed(reason.into());
                    }
                    Poll::Ready(Err(reason.into()))
                }
            }
        })
        .await?;
        self.settled().await?;
        match result.try_recv() {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => Err(WriteError::Undone(error)),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(AppendError::Unknown.into()),
        }
    }

    /// The record's id, once it is committed: alone, or with the handler's write, whatever became of the handler.
    pub(crate) async fn append(self) -> Result<Option<i64>, AppendError> {
        // A later write may have failed for itself; what counts here is the record.
        let _ = self.settled().await;
        let record = match &mut self.progress().record {
            RecordState::Pending(record) => record.take(),
            RecordState::Committed(id) => return Ok(*id),
            RecordState::Failed(error) => return Err(*error),
        };
        match record {
            Some(record) => self.store.append(record).await.map(Some),
            None => Ok(None),
        }
    }

    async fn settled(&self) -> Result<(), AppendError> {
        poll_fn(|context| self.progress().poll_settled(context)).await
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
