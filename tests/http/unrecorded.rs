//! Routes behind `unrecorded()`, and the record's id in a handler's write.

use axum::Router;
use axum::routing::{get, post};
use daybook::testing::Server;
use daybook::{RequestStore, WriteError};
use rusqlite::Savepoint;

use crate::common::application::{metric_of, notes, records, start};
use crate::common::client::send;
use crate::common::locks::WriteLock;

fn add(tx: &Savepoint<'_>, text: &str) -> rusqlite::Result<usize> {
    tx.execute("insert into notes (text) values (?)", [text])
}

async fn add_note(store: RequestStore, text: String) -> Result<(), WriteError<rusqlite::Error>> {
    store.write(move |tx| add(tx, &text)).await.map(drop)
}

/// Responds with the ids that three writes get; the first one fails.
async fn ids(store: RequestStore) -> String {
    let failed = store.write_with_id(|_, id| Err::<(), _>(id)).await;
    let Err(WriteError::Undone(first)) = failed else {
        panic!("it was not undone");
    };
    let second = store.write_with_id(|_, id| Ok::<_, ()>(id)).await;
    let third = store.write_with_id(|_, id| Ok::<_, ()>(id)).await;
    format!(
        "{first:?} {:?} {:?}",
        second.expect("written"),
        third.expect("written")
    )
}

fn start_both(keys: &[(&str, &str)]) -> Server {
    let unrecorded = Router::new()
        .route("/style.css", get(async || "body {}"))
        .route("/quiet/notes", post(add_note))
        .route("/quiet/ids", get(ids))
        .route_layer(daybook::unrecorded());
    let recorded = Router::new()
        .route("/", get(async || "hello"))
        .route("/ids", get(ids));
    start(recorded.merge(unrecorded), keys)
}

#[test]
fn an_unrecorded_route_leaves_no_record_and_the_others_do() {
    let server = start_both(&[]);
    for (path, id) in [("/style.css", None), ("/", Some(1)), ("/nowhere", Some(2))] {
        assert_eq!(server.get(path).record_id(), id, "{path}");
    }
    assert_eq!(records(&server), ["/", "/nowhere"]);
    assert_eq!(metric_of(&server, "daybook_requests_unrecorded_total"), 1.0);
    assert_eq!(metric_of(&server, "daybook_requests_total"), 3.0);
}

#[test]
fn an_unrecorded_response_waits_for_no_commit() {
    let server = start_both(&[]);
    let _lock = WriteLock::take(server.database_path());
    assert_eq!(server.get("/style.css").text(), "body {}");
}

#[test]
fn a_write_of_an_unrecorded_route_commits_without_a_record() {
    let server = start_both(&[]);
    let response = server.post("/quiet/notes", "kept");
    assert_eq!(
        (response.status().as_u16(), response.record_id()),
        (200, None)
    );
    assert_eq!(notes(&server), ["kept"]);
    assert!(records(&server).is_empty());
    assert_eq!(metric_of(&server, "daybook_records_committed_total"), 0.0);
}

#[test]
fn a_refused_head_is_recorded_for_an_unrecorded_route_and_a_refused_body_is_not() {
    let server = start_both(&[("http.body_bytes_max", "3")]);
    let response = server.post("/quiet/notes", "1234");
    assert_eq!(
        (response.status().as_u16(), response.record_id()),
        (413, None)
    );
    let address = server.addr().to_string();
    let refused = send(
        &address,
        "GET /style.css HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    );
    assert_eq!((refused.status, refused.record_id()), (400, Some(1)));
    assert_eq!(metric_of(&server, "daybook_requests_unrecorded_total"), 1.0);
}

#[test]
fn a_write_gets_the_id_of_its_request_s_record() {
    let server = start_both(&[]);
    server.get("/");
    let response = server.get("/ids");
    assert_eq!(response.record_id(), Some(2));
    assert_eq!(response.text(), "Some(2) Some(2) Some(2)");
    assert_eq!(records(&server), ["/", "/ids"]);
}

#[test]
fn a_write_gets_no_id_where_there_is_no_record() {
    let server = start_both(&[]);
    let response = server.get("/quiet/ids");
    assert_eq!(
        (response.text(), response.record_id()),
        ("None None None", None)
    );

    let server = start_both(&[("record", "false")]);
    let response = server.get("/ids");
    assert_eq!(
        (response.text(), response.record_id()),
        ("None None None", None)
    );
    // Nothing was recorded anyway.
    server.get("/style.css");
    assert_eq!(metric_of(&server, "daybook_requests_unrecorded_total"), 0.0);
}

#[test]
fn a_record_that_a_write_has_carried_stays() {
    async fn inner() -> &'static str {
        "inner"
    }
    /// A layer outside of `unrecorded()` that writes before the request gets there.
    async fn writes_first(
        store: RequestStore,
        request: axum::extract::Request,
        next: axum::middleware::Next,
    ) -> axum::response::Response {
        store.write(|tx| add(tx, "first")).await.expect("written");
        next.run(request).await
    }
    let routes = Router::new()
        .route("/", get(inner))
        .layer(daybook::unrecorded())
        .layer(axum::middleware::from_fn(writes_first));
    let server = start(routes, &[]);
    assert_eq!(server.get("/").record_id(), Some(1));
    assert_eq!(records(&server), ["/"]);
}
