//! The status and the duration of a request in its record.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;

use crate::common::client::{get as http_get, send};
use crate::common::db::{self, Row};
use crate::common::in_process::InProcessServer;
use crate::common::notes::{post_text, start_with_notes};
use crate::common::seed;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

fn row(server: &InProcessServer, id: Option<i64>) -> Row {
    db::row(&server.db(), id.expect("its id")).expect("its row")
}

#[test]
fn the_record_has_the_status_that_the_client_was_sent() {
    let routes = Router::new()
        .route("/", get(async || "fine"))
        .route("/panic", get(async || -> () { panic!("on purpose") }));
    let server = InProcessServer::start(routes, &[("http.body_bytes_max", "10")]);
    let requests = [
        ("GET / HTTP/1.1\r\nhost: h\r\n\r\n", 200),
        ("GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n", 404),
        ("GET /panic HTTP/1.1\r\nhost: h\r\n\r\n", 500),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n", 501),
        (
            "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 11\r\n\r\n",
            413,
        ),
    ];
    for (request, status) in requests {
        let response = send(&server.listen, request);
        assert_eq!(response.status, status, "{request}");
        let row = row(&server, response.record_id());
        assert_eq!(row.status, Some(status), "{request}");
        assert!(row.duration_us.is_some(), "{request}");
    }
}

#[test]
fn the_duration_is_the_handlers_and_not_the_commits() {
    const HANDLER: Duration = Duration::from_millis(50);
    let sleeps = async || tokio::time::sleep(HANDLER).await;
    let server = InProcessServer::start(Router::new().route("/", get(sleeps)), &[]);
    let db = server.db();
    db.execute_batch("begin immediate").expect("a writer");
    let address = server.listen.clone();
    let started = Instant::now();
    let response = std::thread::spawn(move || http_get(&address, "/"));
    server.wait_until_queued(1);
    let queued = started.elapsed();
    // Even if the request arrived as late as it was queued, it has now waited longer for its commit.
    eventually("some time has passed", TIMEOUT, || {
        started.elapsed() > queued * 3
    });
    db.execute_batch("commit").expect("committing");
    let id = response.join().expect("no panic").record_id();
    let duration_us = row(&server, id).duration_us.expect("a duration");
    let duration = Duration::from_micros(duration_us.unsigned_abs());
    assert!((HANDLER..=queued).contains(&duration), "{duration:?}");
}

#[test]
fn the_outcome_of_a_record_that_a_handlers_write_carried_follows() {
    let server = start_with_notes(&[]);
    let id = post_text(&server, "/notes", "one").record_id();
    eventually(
        "it has an outcome without a further request",
        TIMEOUT,
        || row(&server, id).status == Some(200),
    );
    let duplicate = post_text(&server, "/notes", "one");
    assert_eq!(duplicate.status, 409);
    let row = row(&server, duplicate.record_id());
    // Its write was undone, so the record came after the handler.
    assert_eq!(row.status, Some(409));
}

#[test]
fn outcomes_are_written_before_the_process_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("requests.db");
    let server = start_with_notes(&[("database.path", path.to_str().expect("UTF-8"))]);
    let ids: Vec<_> = (0..20)
        .map(|n| post_text(&server, "/notes", &n.to_string()).record_id())
        .collect();
    drop(server);
    let database = db::open(&path);
    for id in ids {
        let row = db::row(&database, id.expect("its id")).expect("its row");
        assert_eq!(row.status, Some(200));
        assert!(row.duration_us.is_some());
    }
}

#[test]
fn outcomes_that_cannot_be_written_cost_no_request() {
    let server = start_with_notes(&[]);
    let refuse = "create trigger no_outcome before update on requests
        begin select raise(abort, 'refused'); end";
    server.db().execute_batch(refuse).expect("a trigger");
    let first = post_text(&server, "/notes", "one");
    for n in 0..10 {
        let response = post_text(&server, "/notes", &n.to_string());
        assert_eq!(response.status, 200);
    }
    assert_eq!(row(&server, first.record_id()).status, None);
}

#[test]
fn the_seeds_application_writes_beside_it_without_an_outcome() {
    let server = Server::start();
    let id = seed::record(&seed::connect(server.database_path()), "/seed");
    let row = server.row(id);
    assert_eq!((row.status, row.duration_us), (None, None));
    let own = server.get("/own").record_id().expect("its id");
    assert_eq!(server.row(own).status, Some(200));
    let record = server.get_admin(&format!("/requests/{id}")).json();
    assert!(record["status"].is_null() && record["duration_us"].is_null());
}
