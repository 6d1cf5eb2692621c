//! [`unrecorded`]: routes whose requests leave no record.

use std::task::{Context, Poll};

use axum::http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::request_store::RequestStore;

/// A layer for routes whose requests leave no record, such as style sheets: their responses wait for no commit and have no
/// `record-id`.
///
/// It takes the record away before the handler runs. [`RequestStore::write`] then commits without one, and the closure of
/// [`RequestStore::write_with_id`] gets `None`. A body that is refused leaves no record either. A
/// malformed head does, because it is refused before the routes. `daybook_requests_unrecorded_total` counts the requests.
///
/// Add it with `route_layer`. axum's `layer` would apply to the fallback too, also after a `merge`: a request for a path
/// without a route would leave no record.
///
/// ```
/// use daybook::axum::{Router, routing::get};
///
/// let files = Router::new()
///     .route("/style.css", get(|| async { "body { margin: 2em }" }))
///     .route_layer(daybook::unrecorded());
/// let routes: Router = Router::new().route("/", get(|| async { "hello\n" })).merge(files);
/// ```
///
/// For a directory of files take [`ServeDir`](https://docs.rs/tower-http/latest/tower_http/services/struct.ServeDir.html), which
/// knows ranges, precompressed files, `ETag` and `Last-Modified`. Your project adds `tower-http` with the features `fs` and
/// `set-header`. HAProxy caches the files if they have a `max-age`:
///
/// ```
/// use daybook::axum::Router;
/// use daybook::axum::http::HeaderValue;
/// use daybook::axum::http::header::CACHE_CONTROL;
/// use tower_http::services::ServeDir;
/// use tower_http::set_header::SetResponseHeaderLayer;
///
/// // Of style.css and style.css.gz the client gets what it understands.
/// let files = Router::new()
///     .fallback_service(ServeDir::new("static").precompressed_gzip())
///     .layer(SetResponseHeaderLayer::if_not_present(
///         CACHE_CONTROL,
///         HeaderValue::from_static("public, max-age=600"),
///     ))
///     .layer(daybook::unrecorded());
/// let routes: Router = Router::new().nest("/static", files);
/// ```
pub fn unrecorded() -> Unrecorded {
    Unrecorded(())
}

/// The layer of [`unrecorded`].
#[derive(Clone, Copy, Debug)]
pub struct Unrecorded(());

impl<S> Layer<S> for Unrecorded {
    type Service = UnrecordedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        UnrecordedService(inner)
    }
}

/// The service that [`Unrecorded`] makes.
#[derive(Clone, Copy, Debug)]
pub struct UnrecordedService<S>(S);

impl<S: Service<Request<B>>, B> Service<Request<B>> for UnrecordedService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        if let Some(store) = request.extensions().get::<RequestStore>() {
            store.take_record();
        }
        self.0.call(request)
    }
}
