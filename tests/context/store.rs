//! `Context::store()`: the database outside of a request.

use std::pin::pin;
use std::task::{Poll, Waker};

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use daybook::testing::Server;
use daybook::{App, AppStore, BoxError, Context, Rejected, WriteError};

use crate::common::application::{notes, records, start, start_app};
use crate::common::locks::WriteLock;

/// Adds a note outside of the request, and responds with the number of notes.
async fn add_and_count(store: &AppStore, text: String) -> Result<i64, String> {
    let insert = "insert into notes (text) values (?)";
    store
        .write(move |tx| tx.execute(insert, [text]))
        .await
        .map_err(|error| error.to_string())?;
    store
        .read(|db| db.query_row("select count(*) from notes", [], |row| row.get(0)))
        .await
        .map_err(|error| error.to_string())
}

fn text(result: Result<i64, String>) -> String {
    result.map_or_else(|error| error, |n| n.to_string())
}

async fn in_the_handler(context: Context, note: String) -> String {
    text(add_and_count(context.store(), note).await)
}

#[test]
fn a_write_outside_of_a_request_takes_no_record_along() {
    let server = start(Router::new().route("/", post(in_the_handler)), &[]);
    let response = server.post("/", "a");
    assert_eq!((response.text(), response.record_id()), ("1", Some(1)));
    assert_eq!(notes(&server), ["a"]);
    assert_eq!(records(&server), ["/"]);
}

#[test]
fn it_works_on_another_thread_with_a_runtime_of_its_own() {
    async fn on_a_thread(context: Context, note: String) -> String {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let result = runtime.block_on(add_and_count(context.store(), note));
            sender.send(text(result)).expect("the handler waits");
        });
        receiver.await.expect("a result")
    }
    let server = start(Router::new().route("/", post(on_a_thread)), &[]);
    assert_eq!(server.post("/", "a").text(), "1");
    assert_eq!(notes(&server), ["a"]);
}

#[test]
fn a_write_waits_in_the_queue_no_longer_than_the_deadline() {
    let server = start(
        Router::new()
            .route("/", post(in_the_handler))
            .layer(daybook::unrecorded()),
        &[("commit.deadline", "50ms")],
    );
    let lock = WriteLock::take(server.database_path());
    let response = server.post("/", "a");
    assert_eq!(
        response.text(),
        "nothing was written: the request could not be recorded in time"
    );
    drop(lock);
    assert_eq!(server.post("/", "b").text(), "1");
    assert_eq!(notes(&server), ["b"]);
}

#[test]
fn an_application_can_tell_a_rejected_write_from_one_with_an_unknown_outcome() {
    async fn written(context: Context, sql: String) -> &'static str {
        match context
            .store()
            .write(move |tx| tx.execute_batch(&sql))
            .await
        {
            Ok(()) => "written",
            Err(WriteError::Rejected(Rejected::Deadline)) => "too late",
            Err(WriteError::Rejected(_)) => "rejected",
            Err(WriteError::Unknown) => "unknown",
            Err(_) => "another error",
        }
    }
    let routes = Router::new()
        .route("/", post(written))
        .layer(daybook::unrecorded());
    let server = start(routes, &[("commit.deadline", "50ms")]);
    let write = |sql: &'static str| server.post("/", sql).text().to_owned();
    let insert = "insert into notes (text) values ('a')";
    assert_eq!(write(insert), "written");
    let lock = WriteLock::take(server.database_path());
    assert_eq!(write(insert), "too late");
    drop(lock);
    // It ends the transaction of its batch, against the rules.
    assert_eq!(write("commit"), "unknown");
    assert_eq!(write(insert), "written");
}

#[test]
fn a_failed_or_panicking_write_changes_nothing_and_the_next_one_works() {
    async fn fails(context: Context) -> String {
        let written = context.store().write(|tx| {
            tx.execute("insert into notes (text) values ('undone')", [])
                .expect("a note");
            Err::<(), _>("my own error")
        });
        written.await.expect_err("it fails").to_string()
    }
    async fn panics(context: Context) {
        let written = context.store().write(|tx| -> Result<(), String> {
            tx.execute("insert into notes (text) values ('undone')", [])
                .expect("a note");
            panic!("in the write")
        });
        written.await.expect("it panics");
    }
    let routes = Router::new()
        .route("/fails", get(fails))
        .route("/panics", get(panics))
        .route("/", post(in_the_handler));
    let server = start(routes, &[]);
    assert_eq!(server.get("/fails").text(), "my own error");
    let response = server.get("/panics");
    assert_eq!(
        (response.status().as_u16(), response.record_id()),
        (500, Some(2))
    );
    assert_eq!(server.post("/", "a").text(), "1");
}

#[test]
fn routes_may_keep_the_store_in_their_state() {
    let app = App::new("test", |context| {
        let add = async |State(store): State<AppStore>, note: String| {
            text(add_and_count(&store, note).await)
        };
        Ok(Router::new()
            .route("/", post(add))
            .with_state(context.store().clone()))
    });
    let server = start_app(app, &[]);
    assert_eq!(server.post("/", "a").text(), "1");
}

#[test]
fn before_the_database_is_open_reads_and_writes_are_clear_errors() {
    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(Waker::noop());
        match pin!(future).poll(&mut context) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }
    fn writes(context: &Context) -> Result<Router, BoxError> {
        now(context.store().write(|tx| tx.execute_batch("select 1")))?;
        Ok(Router::new())
    }
    fn reads(context: &Context) -> Result<Router, BoxError> {
        now(context.store().read(|db| db.execute_batch("select 1")))?;
        Ok(Router::new())
    }
    for routes in [writes, reads] {
        let panic = std::panic::catch_unwind(|| Server::start(App::new("test", routes)));
        let reason = panic.err().expect("it does not start");
        let reason = reason.downcast::<String>().expect("a message");
        assert!(reason.contains("the database is not open yet"), "{reason}");
        assert!(reason.contains("in handlers and jobs"), "{reason}");
    }
}
