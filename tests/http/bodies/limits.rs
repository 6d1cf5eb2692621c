//! A route's own limit.

use axum::Router;
use axum::routing::post;
use daybook::body_limit;

use super::{in_chunks, recorded_length, start, with_length};
use crate::common::client::{Client, send};
use crate::common::in_process::InProcessServer;

#[test]
fn a_route_s_own_limit_may_be_below_or_above_the_default() {
    let server = start(&[]);
    for (path, limit) in [("/small", 10), ("/other", 1000), ("/large", 3000)] {
        for (request, read) in [
            (with_length as fn(&str, usize) -> String, 0),
            (in_chunks, limit + 1),
        ] {
            let response = send(&server.listen, request(path, limit));
            assert_eq!(response.status, 200, "{path}: {}", response.head);
            assert_eq!(response.text(), "a".repeat(limit));
            assert_eq!(recorded_length(&server, &response), limit as i64);

            let response = send(&server.listen, request(path, limit + 1));
            assert_eq!(response.status, 413, "{path}: {}", response.head);
            assert!(response.closes_connection());
            assert_eq!(recorded_length(&server, &response), read as i64, "{path}");
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
