//! An application with its own table, to test the writes of handlers.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use daybook::{RequestStore, WriteError};
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};

use super::client::{Response, send};
use super::in_process::InProcessServer;

/// Routes over a table of unique notes.
fn notes() -> Router {
    async fn add(store: RequestStore, text: String) -> Result<String, (StatusCode, &'static str)> {
        let written = store
            .write(move |tx| {
                tx.execute("insert into notes (text) values (?)", [text])?;
                Ok::<_, rusqlite::Error>(tx.last_insert_rowid())
            })
            .await;
        match written {
            Ok(id) => Ok(id.to_string()),
            Err(WriteError::Undone(_)) => Err((StatusCode::CONFLICT, "the note exists")),
            Err(_) => Err((StatusCode::IM_A_TEAPOT, "the client gets a 503 instead")),
        }
    }
    async fn add_two(store: RequestStore) -> Result<String, WriteError<rusqlite::Error>> {
        for text in ["first", "second"] {
            store
                .write(move |tx| tx.execute("insert into notes (text) values (?)", [text]))
                .await?;
        }
        Ok("two".to_owned())
    }
    async fn panics_in_the_write(store: RequestStore) -> Result<(), WriteError<rusqlite::Error>> {
        store
            .write(|tx| {
                tx.execute("insert into notes (text) values ('panic')", [])?;
                panic!("in the write")
            })
            .await
    }
    async fn add_two_at_once(store: RequestStore) -> Result<String, WriteError<rusqlite::Error>> {
        let tasks = ["one", "other"].map(|text| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write(move |tx| tx.execute("insert into notes (text) values (?)", [text]))
                    .await
            })
        });
        for task in tasks {
            task.await.expect("no panic")?;
        }
        Ok("both".to_owned())
    }
    /// No write may do this.
    fn ends_the_transaction(sql: &'static str) -> MethodRouter {
        get(async move |store: RequestStore| store.write(move |tx| tx.execute_batch(sql)).await)
    }
    async fn fills_the_disk(store: RequestStore) -> Result<(), WriteError<rusqlite::Error>> {
        store
            .write(|tx| {
                let filled = tx.execute_batch(
                    "pragma max_page_count = 100; insert into notes (text) values (zeroblob(9999999))",
                );
                tx.execute_batch("pragma max_page_count = 4294967294")?;
                filled
            })
            .await
    }
    async fn breaks_a_deferred_constraint(
        store: RequestStore,
    ) -> Result<(), WriteError<rusqlite::Error>> {
        store
            .write(|tx| tx.execute_batch("insert into children (parent) values (4711)"))
            .await
    }
    /// Runs `sql`, then makes SQLite refuse the connection's next BEGIN or ROLLBACK.
    fn denies(operation: TransactionOperation, sql: &'static str) -> MethodRouter {
        let write = move |tx: &Connection| {
            tx.execute_batch(sql)?;
            let mut is_denied = false;
            tx.authorizer(Some(move |statement: AuthContext<'_>| {
                let is_next =
                    statement.action == AuthAction::Transaction { operation } && !is_denied;
                is_denied |= is_next;
                match is_next {
                    true => Authorization::Deny,
                    false => Authorization::Allow,
                }
            }))
        };
        get(async move |store: RequestStore| store.write(move |tx| write(tx)).await)
    }
    async fn gives_up(store: RequestStore) -> &'static str {
        let write = store.write(|tx| tx.execute("insert into notes (text) values ('late')", []));
        match tokio::time::timeout(Duration::from_millis(1), write).await {
            Ok(_) => "written",
            Err(_) => "gave up waiting",
        }
    }
    async fn gives_up_and_tries_again(
        store: RequestStore,
    ) -> Result<String, WriteError<rusqlite::Error>> {
        let add =
            |text| store.write(move |tx| tx.execute("insert into notes (text) values (?)", [text]));
        let first = tokio::time::timeout(Duration::from_millis(1), add("late")).await;
        add("again").await?;
        Ok(format!("the first was given up: {}", first.is_err()))
    }
    Router::new()
        .route("/notes", post(add))
        .route("/two", post(add_two))
        .route("/panic-in-write", get(panics_in_the_write))
        .route("/two-at-once", post(add_two_at_once))
        .route("/commit", ends_the_transaction("commit"))
        .route("/commit-begin", ends_the_transaction("commit; begin"))
        .route("/rollback", ends_the_transaction("rollback"))
        .route("/rollback-begin", ends_the_transaction("rollback; begin"))
        .route(
            "/denies-the-rollback",
            denies(TransactionOperation::Rollback, "commit; begin"),
        )
        .route(
            "/denies-the-next-begin",
            denies(TransactionOperation::Begin, ""),
        )
        .route("/fills-the-disk", get(fills_the_disk))
        .route("/orphan", get(breaks_a_deferred_constraint))
        .route("/gives-up", get(gives_up))
        .route("/tries-again", get(gives_up_and_tries_again))
}

pub fn start_with_notes(keys: &[(&str, &str)]) -> InProcessServer {
    let server = InProcessServer::start(notes(), keys);
    server
        .db()
        .execute_batch(
            "create table notes (id integer primary key, text text not null unique);
             create table children (parent integer references notes deferrable initially deferred)",
        )
        .expect("the tables");
    server
}

pub fn post_text(server: &InProcessServer, path: &str, body: &str) -> Response {
    let length = body.len();
    send(
        &server.listen,
        format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}"),
    )
}

/// The paths of all records and the texts of all notes, oldest first.
pub fn records_and_notes(server: &InProcessServer) -> (Vec<String>, Vec<String>) {
    let database = server.db();
    let texts = |sql: &str| {
        let mut statement = database.prepare(sql).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<Vec<String>, _>>().expect("texts")
    };
    (
        texts("select path from requests order by id"),
        texts("select text from notes order by id"),
    )
}

pub fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A further note is written, and no record or note was written before it.
pub fn assert_nothing_was_written(server: &InProcessServer) {
    assert_eq!(post_text(server, "/notes", "after").status, 200);
    let only = (strings(&["/notes"]), strings(&["after"]));
    assert_eq!(records_and_notes(server), only);
}
