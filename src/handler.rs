//! The file you change: your routes go here, and everything else stays.
//!
//! Whatever a handler answers — and a panic is an answer too — leaves only after its request is on disk. A body
//! has been read whole, within `http.body_bytes_max`, before a handler runs.
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
