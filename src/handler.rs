//! Your application: replace these routes and keep the rest.
//!
//! - A response leaves only after its request is on disk. That includes a panic, which becomes a 500.
//! - A handler gets the whole body, at most `http.body_bytes_max`.
//! - daybook's own 503 says that there is no row. A handler's 503 has a row and a `record-id`, like any response; a
//!   `record-id` that a handler sets is removed.
//! - At shutdown a response of known length is sent to its end, within `shutdown.grace`. A stream of unknown length is cut
//!   when the server stops accepting; if clients must notice, end your streams with a marker.
//! - A handler may return axum's WebSocket upgrade. At shutdown the socket reads as closed, and the handler has one second
//!   to finish.
//! - To write to the database in the transaction of the request's record, take a
//!   [`RequestStore`](crate::store::RequestStore) and call `write`.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// All routes of the application. A path without a route gets axum's 404, which is recorded too.
pub fn routes() -> Router {
    Router::new().fallback(echo)
}

/// Returns the request's body, for any method and path.
async fn echo(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], body)
}
