//! The file you change: your routes go here, and everything else stays.
//!
//! Whatever a handler answers — and a panic is an answer too — leaves only after its request is on disk. A body
//! has been read whole, within `http.body_bytes_max`, before a handler runs.
//!
//! A 503 that daybook gives by itself says that there is no row. A handler's own 503 is an answer like any other: it
//! leaves with a row, and a `record-id`. By that clients tell them apart, so a `record-id` that a handler sets is removed.
//!
//! When the server is told to stop, an answer of known length is sent to its end, within `shutdown.grace`. A streamed
//! one, whose length is not known, ends where it is once the server accepts no more: a client that must tell a whole
//! stream from one cut short needs a last line that says so.
//!
//! A handler may return axum's WebSocket upgrade. When the server no longer accepts connections, the socket reads as closed;
//! the handler then has a second to end it.
//!
//! To write to the database in the same transaction as the request's own record, take a
//! [`RequestStore`](crate::store::RequestStore) and call its `write`.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// Every route of the application. What no route matches is axum's 404, recorded like the rest.
pub fn routes() -> Router {
    Router::new().fallback(echo)
}

/// Answers any method on any path with the request's own body.
async fn echo(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], body)
}
