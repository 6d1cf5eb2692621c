//! [`body_limit`] and [`streamed_body`]: how a route takes its bodies.

use std::task::{Context, Poll};

use axum::extract::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::state::Form;
use crate::http::request_store::RequestStore;

/// A layer that gives a route its own limit for request bodies, in bytes, below or above `http.body_bytes_max`. A larger
/// body gets 413; one whose Content-Length says so, before `100 Continue`.
///
/// A body above `http.body_bytes_max` is kept in a temporary file beside the database, within
/// `http.body_disk_bytes_max`. Take such a body as [`Body`](crate::axum::body::Body) and read it in parts: an extractor
/// such as `Bytes` or `String` copies it into memory, which no limit counts.
///
/// The innermost of several such layers decides. A layer of your own that reads the body belongs inside it.
///
/// ```
/// use daybook::axum::{Router, body::Bytes, routing::post};
/// use daybook::body_limit;
///
/// let routes: Router = Router::new()
///     .route("/avatar", post(async |image: Bytes| format!("{} bytes\n", image.len())))
///     .layer(body_limit(200_000));
/// ```
pub fn body_limit(bytes: usize) -> BodyLayer {
    BodyLayer(Form::Whole {
        bytes_max: bytes as u64,
    })
}

/// A layer whose handlers get the request's body as it arrives, at most `bytes`, without a copy of it in memory or on
/// disk. A larger body gets 413; one whose Content-Length says so, before `100 Continue`.
///
/// - Read the body to its end: until then [`RequestStore::write`] returns
///   [`WriteError::BodyUnfinished`](crate::WriteError::BodyUnfinished). A client that disconnects while you read leaves no
///   row, whatever you return.
/// - A response that is ready earlier ends the body: what you did not read is lost, and the connection closes. The record
///   has the number of bytes that were read.
///
/// The innermost layer decides, as with [`body_limit`].
///
/// ```
/// use daybook::axum::{Router, body::Body, http::StatusCode, routing::put};
/// use daybook::{RequestStore, streamed_body};
/// use http_body_util::BodyExt;
///
/// /// Counts lines, and never has more than one part of the body in memory.
/// async fn count_lines(store: RequestStore, mut body: Body) -> Result<String, StatusCode> {
///     let mut lines = 0;
///     while let Some(frame) = body.frame().await {
///         let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
///         let data = frame.into_data().unwrap_or_default();
///         lines += data.iter().filter(|byte| **byte == b'\n').count();
///     }
///     store
///         .write(move |tx| tx.execute("insert into counts (lines) values (?)", [lines as i64]))
///         .await
///         .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
///     Ok(format!("{lines} lines\n"))
/// }
///
/// let routes: Router = Router::new()
///     .route("/lines", put(count_lines))
///     .layer(streamed_body(10_000_000_000));
/// ```
pub fn streamed_body(bytes: usize) -> BodyLayer {
    BodyLayer(Form::Streamed {
        bytes_max: bytes as u64,
    })
}

/// The layer of [`body_limit`] and [`streamed_body`].
#[derive(Clone, Copy, Debug)]
pub struct BodyLayer(Form);

impl<S> Layer<S> for BodyLayer {
    type Service = BodyService<S>;

    fn layer(&self, inner: S) -> BodyService<S> {
        BodyService {
            form: self.0,
            inner,
        }
    }
}

/// The service that [`BodyLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct BodyService<S> {
    form: Form,
    inner: S,
}

impl<S: Service<Request>> Service<Request> for BodyService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        if let Some(store) = request.extensions().get::<RequestStore>() {
            store.body().set_form(self.form);
        }
        self.inner.call(request)
    }
}
