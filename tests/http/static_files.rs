//! Static files by tower-http's `ServeDir`, as the documentation of `unrecorded` shows it.

use std::fs;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use tempfile::TempDir;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::common::client::{Response, send};
use crate::common::in_process::InProcessServer;

const PLAIN: &str = "body { margin: 2em }\n";
/// The server does not look into it.
const COMPRESSED: &str = "compressed";

struct Files {
    server: InProcessServer,
    _directory: TempDir,
}

impl Files {
    fn serve() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("style.css"), PLAIN).expect("a file");
        fs::write(directory.path().join("style.css.gz"), COMPRESSED).expect("a file");
        let files = Router::new()
            .fallback_service(ServeDir::new(directory.path()).precompressed_gzip())
            .layer(SetResponseHeaderLayer::if_not_present(
                CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=600"),
            ))
            .layer(daybook::unrecorded());
        let routes = Router::new().nest("/static", files);
        Self {
            server: InProcessServer::start(routes, &[]),
            _directory: directory,
        }
    }

    /// The response to a GET of the file with these header lines.
    fn get(&self, lines: &str) -> Response {
        let head = format!("GET /static/style.css HTTP/1.1\r\nhost: h\r\n{lines}\r\n");
        send(&self.server.listen, head)
    }

    fn rows(&self) -> i64 {
        self.server
            .db()
            .query_row("select count(*) from requests", [], |row| row.get(0))
            .expect("a count")
    }
}

#[test]
fn a_file_has_a_type_an_etag_and_a_max_age_and_no_record() {
    let files = Files::serve();
    let response = files.get("");
    assert_eq!((response.status, response.text()), (200, PLAIN));
    assert_eq!(response.header("content-type"), Some("text/css"));
    assert_eq!(
        response.header("cache-control"),
        Some("public, max-age=600")
    );
    assert!(response.header("last-modified").is_some());
    let etag = response.header("etag").expect("an etag");
    let unchanged = files.get(&format!("if-none-match: {etag}\r\n"));
    assert_eq!((unchanged.status, unchanged.record_id()), (304, None));
    assert_eq!((response.record_id(), files.rows()), (None, 0));
}

#[test]
fn a_client_that_understands_gzip_gets_the_compressed_file() {
    let files = Files::serve();
    let response = files.get("accept-encoding: gzip\r\n");
    assert_eq!(response.text(), COMPRESSED);
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("content-type"), Some("text/css"));
    // A cache keeps both.
    assert_eq!(response.header("vary"), Some("accept-encoding"));
}

#[test]
fn a_range_of_a_file_can_be_downloaded() {
    let files = Files::serve();
    let response = files.get("range: bytes=5-9\r\n");
    assert_eq!((response.status, response.text()), (206, &PLAIN[5..=9]));
    let range = format!("bytes 5-9/{}", PLAIN.len());
    assert_eq!(response.header("content-range"), Some(&*range));
    let beyond = files.get("range: bytes=100-\r\n");
    assert_eq!(beyond.status, 416);
}
