//! Whole bodies: a route's own limit, the order of body and handler, temporary files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use daybook::{RequestStore, body_limit};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use crate::common::client::{Client, Response, send};
use crate::common::disk::SmallDisk;
use crate::common::in_process::InProcessServer;
use crate::common::server::metric;
use crate::common::{TIMEOUT, eventually};

/// `/small` takes 10 bytes, `/large` 3,000, and all others the default of 1,000. Each returns what it gets.
fn start(keys: &[(&str, &str)]) -> InProcessServer {
    let routes = Router::new()
        .route(
            "/small",
            post(async |text: String| text).layer(body_limit(10)),
        )
        .route(
            "/large",
            post(async |text: String| text).layer(body_limit(3000)),
        )
        .fallback(async |text: String| text);
    let keys = [&[("http.body_bytes_max", "1000")], keys].concat();
    InProcessServer::start(routes, &keys)
}

fn with_length(path: &str, length: usize) -> String {
    let body = "a".repeat(length);
    format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn in_chunks(path: &str, length: usize) -> String {
    let chunks: String = (0..length / 10).map(|_| "a\r\naaaaaaaaaa\r\n").collect();
    let rest = match length % 10 {
        0 => String::new(),
        rest => format!("{rest:x}\r\n{}\r\n", "a".repeat(rest)),
    };
    format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{chunks}{rest}0\r\n\r\n"
    )
}

/// The `content_length` of the response's row.
fn recorded_length(server: &InProcessServer, response: &Response) -> i64 {
    let id = response.record_id().expect("a row");
    server
        .db()
        .query_row(
            "select content_length from requests where id = ?",
            [id],
            |row| row.get(0),
        )
        .expect("the row")
}

fn rows(server: &InProcessServer) -> i64 {
    server
        .db()
        .query_row("select count(*) from requests", [], |row| row.get(0))
        .expect("a count")
}

fn wait_until_no_request_is_open(server: &InProcessServer) {
    eventually("no request is open", TIMEOUT, || {
        metric(&server.admin, "daybook_requests_in_flight", &[]) == 0.0
    });
}

#[test]
fn a_route_s_own_limit_may_be_below_or_above_the_default() {
    let server = start(&[]);
    for (path, limit) in [("/small", 10), ("/other", 1000), ("/large", 3000)] {
        for request in [with_length, in_chunks] {
            let response = send(&server.listen, request(path, limit));
            assert_eq!(response.status, 200, "{path}: {}", response.head);
            assert_eq!(response.text(), "a".repeat(limit));
            assert_eq!(recorded_length(&server, &response), limit as i64);

            let response = send(&server.listen, request(path, limit + 1));
            assert_eq!(response.status, 413, "{path}: {}", response.head);
            assert!(response.closes_connection());
            let read = recorded_length(&server, &response);
            assert!(read == 0 || read == limit as i64 + 1, "{path}: {read}");
        }
    }
}

#[test]
fn a_length_beyond_the_route_s_limit_is_refused_before_100_continue() {
    let server = start(&[]);
    for (path, limit) in [("/small", 10), ("/large", 3000)] {
        let head = |length: usize| {
            format!(
                "POST {path} HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
            )
        };
        let mut client = Client::connect(&server.listen);
        client.send(head(limit));
        assert_eq!(client.response().status, 100);
        client.send("a".repeat(limit));
        assert_eq!(client.response().status, 200);

        client.send(head(limit + 1));
        let response = client.response();
        assert_eq!(
            (response.status, recorded_length(&server, &response)),
            (413, 0)
        );
        client.shut_down_sending();
        assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    }
}

#[test]
fn the_innermost_limit_decides() {
    let inner = Router::new()
        .route(
            "/inner",
            post(async |text: String| text).layer(body_limit(20)),
        )
        .fallback(async |text: String| text);
    let server = InProcessServer::start(inner.layer(body_limit(10)), &[]);
    for (path, limit) in [("/inner", 20), ("/outer", 10)] {
        assert_eq!(send(&server.listen, with_length(path, limit)).status, 200);
        assert_eq!(
            send(&server.listen, with_length(path, limit + 1)).status,
            413
        );
    }
}

#[test]
fn a_body_that_no_handler_reads_is_recorded_with_its_length() {
    let server = InProcessServer::start(
        Router::new().route("/ignores", post(async || "ignored")),
        &[("http.body_bytes_max", "1000")],
    );
    let mut client = Client::connect(&server.listen);
    for (path, status) in [("/ignores", 200), ("/nowhere", 404)] {
        for request in [with_length, in_chunks] {
            // The connection is kept alive.
            client.send(request(path, 700));
            let response = client.response();
            assert_eq!(
                (response.status, recorded_length(&server, &response)),
                (status, 700)
            );
        }
    }
    // A limit applies to it, too.
    assert_eq!(
        send(&server.listen, in_chunks("/ignores", 1100)).status,
        413
    );
}

#[test]
fn a_handler_with_a_store_runs_only_once_the_whole_body_is_here() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = runs.clone();
    let handler = async move |_: RequestStore| counter.fetch_add(1, SeqCst).to_string();
    let server = InProcessServer::start(
        Router::new().route("/", post(handler)),
        &[("http.body_bytes_max", "1000")],
    );
    // A client that disconnects before its body's end.
    let mut gone = Client::connect(&server.listen);
    gone.send(&with_length("/", 100)[..100]);
    eventually("the request is open", TIMEOUT, || {
        metric(&server.admin, "daybook_requests_in_flight", &[]) == 1.0
    });
    drop(gone);
    wait_until_no_request_is_open(&server);
    // Bodies that are refused.
    let malformed =
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n";
    for (request, status) in [(&*in_chunks("/", 1100), 413), (malformed, 400)] {
        let response = send(&server.listen, request);
        assert_eq!(response.status, status);
        assert!(response.record_id().is_some());
    }
    assert_eq!((runs.load(SeqCst), rows(&server)), (0, 2));

    let response = send(&server.listen, with_length("/", 100));
    assert_eq!(
        (response.text(), recorded_length(&server, &response)),
        ("0", 100)
    );
}

#[test]
fn a_refused_body_hides_what_the_handler_returned() {
    let handler = async |body: Body| match body.collect().await {
        Ok(_) => "read",
        Err(_) => "the handler saw an error",
    };
    let routes = Router::new().route("/", post(handler).layer(body_limit(10)));
    let server = InProcessServer::start(routes, &[]);
    let response = send(&server.listen, in_chunks("/", 11));
    assert_eq!(response.status, 413);
    assert!(!response.contains("the handler saw"), "{}", response.text());
}

#[test]
fn a_body_may_be_returned_or_moved_to_another_task() {
    let (sender, received) = oneshot::channel();
    let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
    let hand_on = async move |body: Body| {
        let sender = sender
            .lock()
            .expect("no panic")
            .take()
            .expect("one request");
        tokio::spawn(async move {
            let body = body.collect().await.expect("a body").to_bytes();
            sender.send(body).expect("the test waits");
        });
        "handed on"
    };
    let routes = Router::new()
        .route("/return", post(async |body: Body| body))
        .route("/hand-on", post(hand_on))
        .layer(body_limit(3000));
    let server = InProcessServer::start(routes, &[("http.body_bytes_max", "1000")]);
    // In memory and in a file.
    for length in [0, 900, 2900] {
        for request in [with_length, in_chunks] {
            let response = send(&server.listen, request("/return", length));
            assert_eq!(response.text(), "a".repeat(length));
            assert_eq!(recorded_length(&server, &response), length as i64);
        }
    }
    let response = send(&server.listen, in_chunks("/hand-on", 2900));
    assert_eq!(
        (response.text(), recorded_length(&server, &response)),
        ("handed on", 2900)
    );
    assert_eq!(received.blocking_recv().expect("the body").len(), 2900);
}

/// The names in a directory, and the sizes of this process's open files in it that have no name.
fn names_and_unnamed(directory: &Path) -> (BTreeSet<OsString>, Vec<u64>) {
    let names = fs::read_dir(directory)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    // Other tests' files may be closed meanwhile.
    let unnamed = fs::read_dir("/proc/self/fd")
        .expect("the open files")
        .filter_map(|entry| {
            let descriptor = entry.ok()?.path();
            let file = fs::read_link(&descriptor).ok()?;
            let is_unnamed = file.to_string_lossy().ends_with("(deleted)");
            let size = fs::metadata(descriptor).ok()?.len();
            (is_unnamed && file.starts_with(directory)).then_some(size)
        })
        .collect();
    (names, unnamed)
}

fn directory(server: &InProcessServer) -> PathBuf {
    let path = server.database_path();
    path.parent().expect("a directory").to_owned()
}

#[test]
fn a_body_beyond_memory_is_in_a_file_without_a_name_beside_the_database() {
    for request in [with_length, in_chunks] {
        let server = start(&[]);
        let directory = directory(&server);
        let (names, unnamed) = names_and_unnamed(&directory);
        assert!(unnamed.is_empty(), "{unnamed:?}");

        let request = request("/large", 2500);
        let (part, rest) = request.split_at(request.len() - 200);
        let mut client = Client::connect(&server.listen);
        client.send(part);
        eventually("a file is open", TIMEOUT, || {
            names_and_unnamed(&directory).1.len() == 1
        });
        assert_eq!(names_and_unnamed(&directory).0, names);
        client.send(rest);
        let response = client.response();
        assert_eq!(
            (response.status, response.text()),
            (200, &*"a".repeat(2500))
        );
        eventually("the file is closed", TIMEOUT, || {
            names_and_unnamed(&directory).1.is_empty()
        });

        // A body that fits into memory needs none, whatever its route's limit is.
        let request = with_length("/large", 1000);
        client.send(&request[..request.len() - 1]);
        eventually("the request is open", TIMEOUT, || {
            metric(&server.admin, "daybook_requests_in_flight", &[]) == 1.0
        });
        assert_eq!(names_and_unnamed(&directory), (names, vec![]));
    }
}

#[test]
fn bodies_beyond_body_disk_bytes_max_are_503_until_others_end() {
    for request in [with_length, in_chunks] {
        let server = start(&[("http.body_disk_bytes_max", "4000")]);
        let directory = directory(&server);
        let request = request("/large", 2500);
        let (all_but_end, end) = request.split_at(request.len() - 6);
        let mut holder = Client::connect(&server.listen);
        holder.send(all_but_end);
        eventually(
            "the server has stored all of it",
            TIMEOUT,
            || matches!(names_and_unnamed(&directory).1[..], [size] if size >= 2494),
        );

        let response = send(&server.listen, &request);
        assert_eq!((response.status, response.record_id()), (503, None));
        assert!(response.closes_connection(), "{}", response.head);
        assert_eq!(rows(&server), 0);
        let rejected = metric(
            &server.admin,
            "daybook_records_rejected_total",
            &[("reason", "memory")],
        );
        assert_eq!(rejected, 1.0);

        holder.send(end);
        assert_eq!(holder.response().status, 200);
        eventually("there is room again", TIMEOUT, || {
            send(&server.listen, &request).status == 200
        });
    }
}

#[test]
fn a_body_that_could_never_be_stored_is_413() {
    let server = start(&[("http.body_disk_bytes_max", "2000")]);
    assert_eq!(
        send(&server.listen, with_length("/large", 2000)).status,
        200
    );
    assert_eq!(
        send(&server.listen, with_length("/large", 2001)).status,
        413
    );
    assert_eq!(send(&server.listen, in_chunks("/large", 2001)).status, 413);
    // Without files, memory is the limit.
    let server = start(&[("http.body_disk_bytes_max", "0")]);
    assert_eq!(
        send(&server.listen, with_length("/large", 1000)).status,
        200
    );
    assert_eq!(
        send(&server.listen, with_length("/large", 1001)).status,
        413
    );
}

#[test]
fn a_body_that_does_not_fit_on_the_disk_is_503_without_a_row() {
    let disk = SmallDisk::mount(16 << 20);
    let database = disk.path().join("requests.db");
    let routes = Router::new().route("/", post(async |text: String| text.len().to_string()));
    let server = InProcessServer::start(
        routes.layer(body_limit(64 << 20)),
        &[
            ("database.path", database.to_str().expect("text")),
            ("http.body_bytes_max", "1000"),
        ],
    );
    let response = send(&server.listen, with_length("/", 1 << 20));
    assert_eq!((response.status, response.text()), (200, "1048576"));

    let mut client = Client::connect(&server.listen);
    // The server may close before it has read everything.
    let _ = client.send_in_pieces(with_length("/", 32 << 20).as_bytes(), 1 << 20);
    let response = client.response();
    assert_eq!((response.status, response.record_id()), (503, None));
    let rejected = metric(
        &server.admin,
        "daybook_records_rejected_total",
        &[("reason", "storage")],
    );
    assert_eq!(rejected, 1.0);
    // The file is gone, and with it its space.
    let response = send(&server.listen, with_length("/", 1 << 20));
    assert_eq!((response.status, rows(&server)), (200, 2));
}
