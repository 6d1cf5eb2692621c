//! The store as a handler sees it: its writes join the record of its own request.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rusqlite::Savepoint;
use tokio::sync::{Mutex, oneshot};

use super::{AppendError, Outcome, Record, Store, WriteFn};
use crate::telemetry::log_rate_limited;

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
/// # let config = daybook::config::load_from(None, environment, directory.path()).unwrap();
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
/// #         stop.send(daybook::shutdown::StopSignal::Terminate).await.unwrap();
/// #         answer
/// #     };
/// #     let (ended, answer) = tokio::join!(served, asked);
/// #     assert_eq!(ended.unwrap(), daybook::serve::StopOutcome::Drained);
/// #     assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("note 1\n"), "{answer}");
/// # });
/// # let both = "select count(*) from notes join requests on text = 'hello' and content_length = 5";
/// # assert_eq!(database.query_row(both, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
/// ```
#[derive(Clone)]
pub struct RequestStore {
    store: Store,
    /// Held by one write from its submission to its outcome: a second write of the same request waits for it.
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
    /// Not written yet; none where recording is off.
    Pending(Option<Record>),
    /// On disk, together with a write.
    Committed(Option<i64>),
    /// A write that carried the record was refused.
    Failed(AppendError),
}

impl Progress {
    /// Waits until no write is with the writer. An error is the fate of the one that was.
    async fn settled(&mut self) -> Result<(), AppendError> {
        let Some(queued) = &mut self.queued else {
            return Ok(());
        };
        let outcome = queued.await;
        self.queued = None;
        let error = match outcome {
            Ok(Outcome::Committed(id)) => {
                if self.is_pending() {
                    self.record = RecordState::Committed(id);
                }
                return Ok(());
            }
            Ok(Outcome::Undone) => return Ok(()),
            Ok(Outcome::Rejected(reason)) => AppendError::Rejected(reason),
            Err(_) => AppendError::Unknown,
        };
        self.fail(error)
    }

    /// A write was refused, and with it the record, if it was still to be written.
    fn fail(&mut self, error: AppendError) -> Result<(), AppendError> {
        if self.is_pending() {
            self.record = RecordState::Failed(error);
        }
        Err(error)
    }

    fn is_pending(&self) -> bool {
        matches!(self.record, RecordState::Pending(_))
    }
}

/// Why a [`RequestStore::write`] wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The closure said no; what it had done is undone. Its request is recorded all the same.
    #[error("{0}")]
    Undone(E),
    /// The store refused, as it does when it is overloaded. If the request's record went with it, the client reads
    /// 503 whatever the handler now answers: without a row there is no other answer.
    #[error(transparent)]
    Store(#[from] AppendError),
}

impl<E: std::fmt::Display> IntoResponse for WriteError<E> {
    fn into_response(self) -> Response {
        log_rate_limited("a write of the application failed", &self);
        // Not 503, which says that there is no row: an earlier write of the request may have carried its record.
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
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
    /// statements, and never end the transaction in it: nobody who shares it could be answered. A second call in one request is a transaction of its own.
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
        let work: WriteFn = Box::new(move |savepoint| {
            let result = catch_unwind(AssertUnwindSafe(|| write(savepoint)));
            let keep = matches!(result, Ok(Ok(_)));
            let _ = sender.send(result);
            keep
        });
        let mut progress = self.progress.lock().await;
        // One that its caller has given up on; its fate is in `record`.
        let _ = progress.settled().await;
        let record = match &progress.record {
            RecordState::Pending(record) => record.clone(),
            RecordState::Committed(_) => None,
            RecordState::Failed(error) => return Err((*error).into()),
        };
        match self.store.submit(record, Some(work)) {
            Ok(outcome) => progress.queued = Some(outcome),
            Err(reason) => progress.fail(reason.into())?,
        }
        progress.settled().await?;
        drop(progress);
        match result.try_recv() {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => Err(WriteError::Undone(error)),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(AppendError::Unknown.into()),
        }
    }

    /// The record's id, once it is committed: alone, or with the handler's write, whatever became of the handler.
    pub(crate) async fn append(self) -> Result<Option<i64>, AppendError> {
        let mut progress = self.progress.lock().await;
        // A later write may have failed for itself; what counts here is the record.
        let _ = progress.settled().await;
        let record = match &mut progress.record {
            RecordState::Pending(record) => record.take(),
            RecordState::Committed(id) => return Ok(*id),
            RecordState::Failed(error) => return Err(*error),
        };
        match record {
            Some(record) => self.store.append(record).await.map(Some),
            None => Ok(None),
        }
    }
}
