//! Bodies beyond memory are in temporary files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::routing::post;
use daybook::body_limit;

use super::{in_chunks, rows, start, with_length};
use crate::common::client::{Client, send};
use crate::common::disk::SmallDisk;
use crate::common::in_process::InProcessServer;
use crate::common::server::metric;
use crate::common::{TIMEOUT, eventually};

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
