//! A handler's access to the database: its writes are committed together with the record of its request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use rusqlite::{Connection, Savepoint};
use tokio::sync::{Mutex, oneshot};

use super::body::RequestBody;
use crate::store::{
    AppendError, Outcome, ReadError, Record, RequestOutcome, Store, WriteError, split_write,
};

/// A handler's access to the database; an axum extractor.
///
/// [`RequestStore::write`] commits the handler's own writes together with the record of the current request, in one
/// transaction and before the response: both are on disk, or neither.
///
/// ```
/// use daybook::axum::{Router, routing::post};
/// use daybook::{App, BoxError, Context, RequestStore, WriteError, rusqlite};
///
/// /// Keeps the body as a note, and responds with the note's number.
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
/// fn routes(_: &Context) -> Result<Router, BoxError> {
///     Ok(Router::new().route("/notes", post(add_note)))
/// }
///
/// # let server = daybook::testing::Server::start(App::new("notes", routes));
/// # let database = server.database();
/// # database.execute_batch("create table notes (id integer primary key, text text not null)").unwrap();
/// # assert_eq!(server.post("/notes", "hello").text(), "note 1\n");
/// # let both = "select count(*) from notes join requests on text = 'hello' and content_length = 5";
/// # assert_eq!(database.query_row(both, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
/// ```
#[derive(Clone)]
pub struct RequestStore {
    store: Store,
    /// One write holds it from its submission to its outcome: a second write of the same request waits for it.
    progress: Arc<Mutex<Progress>>,
    body: RequestBody,
}

struct Progress {
    record: RecordState,
    /// The write that has no outcome yet. If the future that waits for it kept it, its outcome would be lost when the
    /// handler stops waiting (after its own timeout, for example).
    pending: Option<oneshot::Receiver<Outcome>>,
}

/// The state of this request's record.
enum RecordState {
    /// Not written yet; none if recording is off. Its `content_length` follows from the body when it is written.
    Unwritten(Option<Record>),
    /// Committed, together with a write.
    Committed(Option<i64>),
    /// A write that carried the record was rejected.
    Failed(AppendError),
}

impl Progress {
    /// Waits for the pending write, if there is one; returns its error.
    async fn settle(&mut self) -> Result<(), AppendError> {
        let Some(pending) = &mut self.pending else {
            return Ok(());
        };
        let outcome = pending.await;
        self.pending = None;
        let error = match outcome {
            Ok(Outcome::Committed(id)) => {
                if self.is_unwritten() {
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

    /// A write was rejected, and with it the record, if that was unwritten.
    fn fail(&mut self, error: AppendError) -> Result<(), AppendError> {
        if self.is_unwritten() {
            self.record = RecordState::Failed(error);
        }
        Err(error)
    }

    fn is_unwritten(&self) -> bool {
        matches!(self.record, RecordState::Unwritten(_))
    }
}

impl<S: Sync> FromRequestParts<S> for RequestStore {
    /// The recorder sends a response of its own.
    type Rejection = StatusCode;

    /// Waits for the whole body, unless it is [streamed](crate::streamed_body): a handler must not write for a client
    /// that disconnects, or whose body is refused.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let store = parts
            .extensions
            .get::<Self>()
            .cloned()
            .expect("the recorder gives every request its store");
        match store.body.arrive().await {
            Ok(()) => Ok(store),
            Err(error) => Err(error.status()),
        }
    }
}

impl RequestStore {
    pub(crate) fn new(store: Store, record: Option<Record>, body: RequestBody) -> Self {
        Self {
            store,
            body,
            progress: Arc::new(Mutex::new(Progress {
                record: RecordState::Unwritten(record),
                pending: None,
            })),
        }
    }

    /// The body of the request.
    pub(crate) fn body(&self) -> &RequestBody {
        &self.body
    }

    /// Runs `write` on the writer's thread, in the transaction that carries this request's record, and returns once it is
    /// committed. A second call in one request is a transaction of its own.
    ///
    /// While `write` runs, no replica can write anything else, so keep it to a few statements. It must never end the
    /// transaction: no request of the batch could get a response.
    ///
    /// # Errors
    /// [`WriteError::Undone`] with the closure's own error, after its changes were rolled back; [`WriteError::Rejected`] if
    /// nothing could be written; [`WriteError::BodyUnfinished`] if a streamed body has not been read to its end;
    /// [`WriteError::Unknown`] if the outcome is not known.
    ///
    /// # Panics
    /// If `write` panics: the panic continues here, in the handler.
    pub async fn write<T, E>(
        &self,
        write: impl FnOnce(&Savepoint<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.write_with_id(move |savepoint, _| write(savepoint))
            .await
    }

    /// As [`RequestStore::write`]. The closure also gets the id of this request's record, which the response names in
    /// `record-id`. It is `None` if the request has no record: behind [`unrecorded`](crate::unrecorded), or at
    /// `record = false`.
    ///
    /// If the closure fails, its changes are undone, and another record may get this id.
    ///
    /// ```
    /// # use daybook::{RequestStore, WriteError, rusqlite};
    /// /// Responds with the id of the record that it is kept with.
    /// async fn add_note(store: RequestStore, text: String) -> Result<String, WriteError<rusqlite::Error>> {
    ///     store
    ///         .write_with_id(|tx, record_id| {
    ///             tx.execute("insert into notes (record, text) values (?, ?)", (record_id, text))?;
    ///             Ok(format!("{record_id:?}"))
    ///         })
    ///         .await
    /// }
    /// # let routes = daybook::axum::Router::new().route("/", daybook::axum::routing::post(add_note));
    /// # let server = daybook::testing::Server::start(daybook::App::new("notes", |_| Ok(routes)));
    /// # server.database().execute_batch("create table notes (record integer, text text)").unwrap();
    /// # assert_eq!(server.post("/", "hello").text(), "Some(1)");
    /// ```
    ///
    /// # Errors
    /// As [`RequestStore::write`].
    ///
    /// # Panics
    /// If `write` panics: the panic continues here, in the handler.
    pub async fn write_with_id<T, E>(
        &self,
        write: impl FnOnce(&Savepoint<'_>, Option<i64>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        if !self.body.is_read_to_its_end().await {
            return Err(WriteError::BodyUnfinished);
        }
        let mut progress = self.progress.lock().await;
        // A write that its caller stopped waiting for; its effect is in `record`.
        let _ = progress.settle().await;
        let (record, committed_id) = match &progress.record {
            RecordState::Unwritten(record) => (self.with_content_length(record.clone()), None),
            RecordState::Committed(id) => (None, *id),
            RecordState::Failed(error) => return Err((*error).into()),
        };
        let (write_fn, result) =
            split_write(move |savepoint, id| write(savepoint, id.or(committed_id)));
        match self.store.submit(record, Some(write_fn)) {
            Ok(outcome) => progress.pending = Some(outcome),
            Err(reason) => progress.fail(reason.into())?,
        }
        progress.settle().await?;
        drop(progress);
        result.take()
    }

    /// Runs `read` on a read-only connection and a thread of its own, so that it may take its time without blocking other
    /// requests. All statements of one `read` see the same snapshot: everything that is committed, with the earlier writes
    /// of this request.
    ///
    /// After `database.read_timeout` SQLite stops the statement that runs, and prepares no other. The closure may return
    /// what it has found until then. But a closure that sleeps, or loops without SQLite, cannot be stopped: it keeps one of
    /// the `database.readers_max` connections, and the write-ahead log grows meanwhile.
    ///
    /// The connection serves many requests. So a read cannot change it: `attach`, and pragmas that set a value, fail as
    /// "not authorized". Do not replace its hooks.
    ///
    /// ```
    /// # use daybook::{ReadError, RequestStore, rusqlite};
    /// async fn count_notes(store: RequestStore) -> Result<String, ReadError<rusqlite::Error>> {
    ///     let count: i64 = store
    ///         .read(|db| db.query_row("select count(*) from notes", [], |row| row.get(0)))
    ///         .await?;
    ///     Ok(format!("{count} notes\n"))
    /// }
    /// # let routes = daybook::axum::Router::new().route("/", daybook::axum::routing::get(count_notes));
    /// # let server = daybook::testing::Server::start(daybook::App::new("notes", |_| Ok(routes)));
    /// # server.database().execute_batch("create table notes (text text)").unwrap();
    /// # assert_eq!(server.get("/").text(), "0 notes\n");
    /// ```
    ///
    /// # Errors
    /// [`ReadError::Closure`] with the closure's own error; [`ReadError::TimedOut`] or [`ReadError::NoConnection`] after
    /// `database.read_timeout`; [`ReadError::Sqlite`] if the read could not begin.
    ///
    /// # Panics
    /// If `read` panics: the panic continues here, in the handler.
    pub async fn read<T, E>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ReadError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.store.reader().read(read).await
    }

    /// Takes the record away, so that the request leaves none. A record that a write carries, or has carried, stays.
    pub(crate) fn take_record(&self) {
        if let Ok(mut progress) = self.progress.try_lock()
            && progress.is_unwritten()
            && progress.pending.is_none()
        {
            progress.record = RecordState::Unwritten(None);
        }
    }

    /// Commits the record with the request's outcome, unless a write has committed it; then the outcome follows. Returns the
    /// record's id. There is no outcome if the client gets no response.
    pub(crate) async fn append(
        self,
        outcome: Option<RequestOutcome>,
    ) -> Result<Option<i64>, AppendError> {
        let mut progress = self.progress.lock().await;
        // A later write may have failed; only the record matters here.
        let _ = progress.settle().await;
        let record = match &mut progress.record {
            RecordState::Unwritten(record) => self.with_content_length(record.take()),
            RecordState::Committed(id) => {
                if let (Some(id), Some(outcome)) = (*id, outcome) {
                    self.store.add_outcome(id, outcome);
                }
                return Ok(*id);
            }
            RecordState::Failed(error) => return Err(*error),
        };
        match record {
            Some(record) => {
                let record = Record { outcome, ..record };
                self.store.append(record).await.map(Some)
            }
            None => Ok(None),
        }
    }

    fn with_content_length(&self, record: Option<Record>) -> Option<Record> {
        record.map(|record| Record {
            content_length: self.body.bytes_read(),
            ..record
        })
    }
}
