//! The application as the recorder calls it: the routes and the layers around them.

use std::any::Any;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

/// Adds the layers. The last one added is the outermost; all of them are inside the recorder.
pub fn app(routes: Router) -> Router {
    routes
        // The recorder has read the body, within the configured limit: axum's own would be a second one.
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(answer_panic))
}

/// A handler's panic is an answer, with a row. What it said is in the log alone, put there by the panic hook
/// ([`telemetry::init`](crate::telemetry::init)), which knows the place, too.
fn answer_panic(_: Box<dyn Any + Send>) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
}
