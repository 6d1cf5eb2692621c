//! The snapshot that a read sees.

use axum::Router;
use axum::routing::post;
use daybook::RequestStore;
use rusqlite::Connection;

use super::{count, reads};
use crate::common::application::{metric_of, notes, start};

#[test]
fn a_read_sees_the_request_s_own_committed_write() {
    async fn add_and_count(store: RequestStore, text: String) -> String {
        let insert = "insert into notes (text) values (?)";
        let written = store.write(move |tx| tx.execute(insert, [text])).await;
        written.expect("a note");
        store.read(count).await.expect("a count").to_string()
    }
    let server = start(Router::new().route("/", post(add_and_count)), &[]);
    for n in 1..=20 {
        assert_eq!(server.post("/", "a note").text(), n.to_string());
    }
    assert_eq!(
        metric_of(&server, "daybook_read_duration_seconds_count"),
        20.0
    );
    assert_eq!(metric_of(&server, "daybook_reads_interrupted_total"), 0.0);
}

#[test]
fn all_statements_of_one_read_see_the_same_snapshot() {
    let twice = |db: &Connection| {
        let before = count(db)?;
        let writer = Connection::open(db.path().expect("a file"))?;
        writer.execute("insert into notes (text) values ('meanwhile')", [])?;
        Ok(format!("{before} {}", count(db)?))
    };
    let server = start(Router::new().route("/", reads(twice)), &[]);
    assert_eq!(server.get("/").text(), "0 0");
    assert_eq!(server.get("/").text(), "1 1");
}

#[test]
fn a_read_cannot_write() {
    let server = start(
        Router::new()
            .route(
                "/insert",
                reads(|db| db.execute("insert into notes (text) values ('x')", [])),
            )
            .route(
                "/temporary",
                reads(|db| db.execute("create temp table t (a)", [])),
            )
            // Not even against all rules.
            .route(
                "/commit",
                reads(|db| {
                    db.execute_batch("commit")?;
                    db.execute("insert into notes (text) values ('x')", [])
                }),
            ),
        &[],
    );
    for path in ["/insert", "/temporary", "/commit"] {
        let response = server.get(path);
        assert!(
            response.text().contains("readonly"),
            "{path}: {}",
            response.text()
        );
    }
    assert!(notes(&server).is_empty());
}
