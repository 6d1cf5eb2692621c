//! The operator's listener: metrics, readiness, and the records.

mod access;

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tower_http::catch_panic::CatchPanicLayer;
use tower_service::Service;

use crate::http::client_address::Peer;
use crate::http::guard::{ConnectionState, HeadBudget};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::store::{ReadError, Reader, Store, StoredRecord};
use crate::telemetry::log_rate_limited;

/// Records on a page, unless `limit` says otherwise.
const PAGE_RECORDS: u32 = 50;
/// The largest `limit`.
const PAGE_RECORDS_MAX: u32 = 1000;

/// What the routes share.
pub struct Admin {
    /// For the queue's length and the file's place.
    pub store: Store,
    /// Reads the records.
    pub reader: Reader,
    /// What /metrics prints.
    pub metrics: Arc<Metrics>,
    /// What /readyz says.
    pub readiness: Readiness,
    /// What clients' heads take of memory.
    pub heads: HeadBudget,
}

/// The routes of the admin listener.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/requests", get(page))
        .route("/requests/{id}", get(record))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and HEAD are answered here",
            )
        })
        .layer(CatchPanicLayer::custom(answer_panic))
        .with_state(admin)
}

/// Else a panic would end the connection without a word.
fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = crate::panic_message(&*panic);
    log_rate_limited("an admin route panicked", &message);
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "see the log").into_response()
}

/// Answers one request of an admin connection. `hosts` is `admin.hosts`.
///
/// # Errors
/// None.
pub async fn answer(
    mut router: Router,
    hosts: Arc<[String]>,
    peer: Peer,
    exchange: Arc<ConnectionState>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    if let Some(refusal) = exchange.take_request_start().refusal {
        let mut response = Problem::new(refusal.status, refusal.reason).into_response();
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(response);
    }
    if let Err((status, reason)) = access::check(peer, &request, &hosts) {
        return Ok(Problem::new(status, reason).into_response());
    }
    router.call(request.map(Body::new)).await
}

async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    match admin.readiness.check() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, Problem> {
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
        tracing::error!(%error, "the metrics could not be encoded");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "see the log")
    })?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    limit: Option<u32>,
    before: Option<i64>,
}

#[derive(Serialize)]
struct Page {
    requests: Vec<StoredRecord>,
    /// The next page's `before`; null on the last page.
    next_before: Option<i64>,
}

async fn page(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) =
        query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let limit = query.limit.unwrap_or(PAGE_RECORDS);
    if !(1..=PAGE_RECORDS_MAX).contains(&limit) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("limit={limit}: give a number from 1 to {PAGE_RECORDS_MAX}"),
        ));
    }
    let before = query.before.unwrap_or(i64::MAX);
    // One more than asked for tells whether there is a next page.
    let mut records = admin.reader.page(before, limit + 1).await?;
    let has_next = records.len() > limit as usize;
    records.truncate(limit as usize);
    Ok(Json(Page {
        next_before: records.last().filter(|_| has_next).map(|record| record.id),
        requests: records,
    }))
}

async fn record(
    State(admin): State<Arc<Admin>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<StoredRecord>, Problem> {
    // As text, so that what is no number is no problem of another kind than a number that is not there.
    let found = match id.ok().and_then(|Path(id)| id.parse().ok()) {
        Some(id) => admin.reader.record(id).await?,
        None => None,
    };
    match found {
        Some(record) => Ok(Json(record)),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "there is no request of this id",
        )),
    }
}

/// An error as RFC 9457 has it.
struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        log_rate_limited("the records could not be read", &error);
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the records could not be read: see the log",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        (
            self.status,
            [(CONTENT_TYPE, "application/problem+json")],
            body.to_string(),
        )
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_problem_that_keeps_its_reason_to_itself() {
        let mut router = Router::new()
            .route("/", get(async || -> () { panic!("the reason") }))
            .layer(CatchPanicLayer::custom(answer_panic));
        let response = router.call(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains("the reason"));
    }
}
