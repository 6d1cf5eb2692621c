//! The layers between the recorder and the application's routes.

use std::any::Any;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;

use crate::context::Context;

/// The last layer added is the outermost.
pub fn add_layers(routes: Router, context: Context) -> Router {
    routes
        .layer(Extension(context))
        // The body has its route's limit; axum's own would be a second one.
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(panic_response))
}

/// A panic gets a response and a row. The panic hook of [`telemetry::init`](crate::telemetry::init) logs its message.
fn panic_response(_: Box<dyn Any + Send>) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
}
