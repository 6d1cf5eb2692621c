//! Whole bodies.

mod files;
mod handlers;
mod limits;

use axum::Router;
use axum::routing::post;
use daybook::body_limit;

use crate::common::client::Response;
use crate::common::in_process::InProcessServer;

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
