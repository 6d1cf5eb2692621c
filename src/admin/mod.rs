//! The admin listener: health, metrics and the recorded requests.

mod access;
mod openapi;
mod parameters;
mod problem;
mod records;
mod requests;
mod state;
pub(crate) mod stream;

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_service::Service;

use crate::config::Config;
use crate::console;
use crate::http::accept::ReservedConnection;
use crate::http::client_address::Peer;
use crate::http::guard::{ConnectionState, HeadBudget};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::shutdown::Phase;
use crate::store::Store;
use crate::telemetry::log_rate_limited;
use problem::Problem;
use stream::Streams;

/// Connections of all admin listeners together.
pub const CONNECTIONS_MAX: usize = 256;
/// So many of them serve [`HEALTH_PATHS`] alone, so that no number of readers makes a replica look dead.
pub const HEALTH_CONNECTIONS: usize = 16;
const HEALTH_PATHS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The state that the routes share.
pub struct AdminState {
    pub store: Store,
    pub metrics: Arc<Metrics>,
    pub readiness: Readiness,
    /// Memory for the heads of public requests.
    pub heads: HeadBudget,
    pub streams: Streams,
    pub phase: watch::Receiver<Phase>,
    /// The application's name.
    pub application: &'static str,
    pub config: Arc<Config>,
}

impl AdminState {
    /// When a read stops by itself: a little earlier than the read pool would stop it.
    fn read_deadline(&self) -> Instant {
        let timeout = self.store.admin_reader().timeout();
        Instant::now() + timeout - timeout / 10
    }
}

pub fn router(admin: Arc<AdminState>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/stream", get(stream::stream))
        .route("/requests", get(requests::list))
        .route("/requests/{id}", get(requests::get))
        .route("/api/requests", get(records::list))
        .route("/api/requests/{id}", get(records::get))
        .route("/api/stats", get(records::get_stats))
        .route("/api/state", get(state::get))
        .route("/openapi.json", get(openapi::get))
        .merge(console::router())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no such path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the admin listener accepts only GET and HEAD",
            )
        })
        .layer(CatchPanicLayer::custom(panic_response))
        .with_state(admin)
}

/// Without this a panic would close the connection without a response.
fn panic_response(panic: Box<dyn Any + Send>) -> Response {
    let message = crate::panic_message(&*panic);
    log_rate_limited("an admin route panicked", &message);
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "see the log").into_response()
}

/// Handles one request of an admin connection. `hosts` is `admin.hosts`.
pub async fn respond(
    mut router: Router,
    hosts: Arc<[String]>,
    peer: Peer,
    connection: Arc<ConnectionState>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    if let Some(refusal) = connection.take_request_start().refusal {
        let mut response = Problem::new(refusal.status, refusal.reason).into_response();
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(response);
    }
    if let Err((status, reason)) = access::check(peer, &request, &hosts) {
        return Ok(Problem::new(status, reason).into_response());
    }
    if request.extensions().get::<ReservedConnection>().is_none() {
        return router.call(request.map(Body::new)).await;
    }
    let mut response = match HEALTH_PATHS.contains(&request.uri().path()) {
        true => router.call(request.map(Body::new)).await?,
        false => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many connections of the admin listener are open: close some",
        )
        .into_response(),
    };
    // It must not wait for its client's next request.
    (response.headers_mut()).insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

async fn readyz(State(admin): State<Arc<AdminState>>) -> (StatusCode, String) {
    match admin.readiness.check() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(admin): State<Arc<AdminState>>) -> Result<Response, Problem> {
    let metrics = &admin.metrics;
    metrics.ready.set(admin.readiness.check().is_ok().into());
    metrics
        .commit_queue_records
        .set(admin.store.queue_records() as i64);
    metrics.heads_bytes_in_flight.set(admin.heads.used() as i64);
    let sizes = admin.store.sizes();
    metrics.database_bytes.set(sizes.database_bytes as f64);
    metrics.wal_bytes.set(sizes.wal_bytes as f64);
    metrics.disk_free_bytes.set(sizes.disk_free_bytes as f64);
    let text = metrics.text().map_err(|error| {
        tracing::error!(%error, "encoding the metrics failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "see the log")
    })?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_gets_a_500_without_its_message() {
        let mut router = Router::new()
            .route("/", get(async || -> () { panic!("the message") }))
            .layer(CatchPanicLayer::custom(panic_response));
        let response = router.call(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains("the message"));
    }
}
