//! Sends no response on a public listener before its request's record is committed.
//!
//! All responses come from here: refusals of the guard, limits of the body, and what the handler returns, a panic
//! included. Four kinds have no row: the health path, a head without a valid method and target, a 503 of the store, and a
//! route behind [`unrecorded`](crate::unrecorded).

use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;
use tower_service::Service;

use crate::config::Config;
use crate::http::body::{Bodies, BodyError, RequestBody};
use crate::http::client_address::{Peer, client_address};
use crate::http::guard::{ConnectionState, RequestStart};
use crate::http::request_log::{self, RequestLog};
use crate::http::request_store::RequestStore;
use crate::http::responses::{self, RECORD_ID, close_after, plain, refused};
use crate::http::streaming_body::end_when_closing;
use crate::metrics::{InFlight, Metrics};
use crate::readiness::Readiness;
use crate::rejected::Rejected;
use crate::shutdown::{Phase, reached};
use crate::store::{AppendError, Record, RequestOutcome, Store};

/// Why a connection is closed without a response.
#[derive(Debug, thiserror::Error)]
pub enum NoResponse {
    /// The client disconnected before its body ended; there is no row.
    #[error("the client disconnected")]
    ClientGone,
    /// Whether the row was written is not known.
    #[error("whether the request was recorded is not known")]
    OutcomeUnknown,
    /// The handler's write committed the row, but its response was not ready when the grace period ended. A 503 would
    /// say that there is no row.
    #[error(
        "the grace period ended after the record was committed and before the response was ready"
    )]
    GraceExpired,
}

/// Shared by all public connections.
pub struct Recorder {
    config: Arc<Config>,
    app: Router,
    store: Store,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    phase: watch::Receiver<Phase>,
    bodies: Arc<Bodies>,
}

impl Recorder {
    /// `app` gets every request that was not refused earlier.
    pub fn new(
        config: Arc<Config>,
        app: Router,
        store: Store,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let bodies = Arc::new(Bodies::new(&config.http, store.path()));
        Self {
            config,
            app,
            store,
            metrics,
            readiness,
            phase,
            bodies,
        }
    }

    /// Handles one request.
    ///
    /// # Errors
    /// [`NoResponse`]: close the connection and send nothing.
    pub async fn respond(
        &self,
        peer: Peer,
        connection: &ConnectionState,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, NoResponse> {
        let _in_flight = InFlight::enter(&self.metrics);
        let head = connection.take_request_start();
        let is_health_check = head.refusal.is_none() && self.is_health_check(&request);
        let mut response = if is_health_check {
            self.health_response()
        } else {
            self.respond_and_log(peer, &head, connection, request)
                .await?
        };
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // A 101 must keep `connection: upgrade`; its socket is closed at shutdown anyway.
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if self.readiness.is_draining() && !is_upgrade {
            close_after(&mut response);
        }
        let response = end_when_closing(response, &self.phase);
        // Not counted: a proxy's health checks, several a second, would distort the figures.
        if !is_health_check {
            self.metrics.count_request(response.status());
            self.metrics
                .request_duration_seconds
                .observe(head.started.elapsed().as_secs_f64());
        }
        Ok(response)
    }

    /// Responds to a request that is no health check.
    async fn respond_and_log(
        &self,
        peer: Peer,
        head: &RequestStart,
        connection: &ConnectionState,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, NoResponse> {
        let record = |method: &Method, path: &str, headers: &HeaderMap| {
            let record = Record {
                timestamp: head
                    .arrived
                    .duration_since(UNIX_EPOCH)
                    .map_or(0.0, |since| since.as_secs_f64()),
                method: method.clone(),
                path: path.to_owned(),
                content_length: 0,
                remote_addr: client_address(peer, headers, &self.config.trusted_proxies),
                outcome: None,
            };
            let log = RequestLog::new(&record, headers);
            (record, log)
        };
        let (result, log) = match &head.refusal {
            None => {
                let (record, log) =
                    record(request.method(), request.uri().path(), request.headers());
                let result = self.handle(head.started, connection, request, record).await;
                (result, log)
            }
            Some(refusal) if refusal.is_for_memory() => {
                (Ok(self.unavailable(Rejected::Memory)), None)
            }
            Some(refusal) => {
                let response = refused(refusal.status, refusal.reason);
                let Some(request) = &refusal.request else {
                    return Ok(response);
                };
                let (record, log) = record(&request.method, &request.path, &request.headers);
                let store = self.request_store(record, RequestBody::default());
                (self.after_commit(head.started, store, response).await, log)
            }
        };
        if let Some(log) = log {
            log.write(&result, head.started);
        }
        result
    }

    /// The store of a request, with its record unless nothing is recorded.
    fn request_store(&self, record: Record, body: RequestBody) -> RequestStore {
        let record = self.config.record.then_some(record);
        RequestStore::new(self.store.clone(), record, body)
    }

    async fn handle(
        &self,
        started: Instant,
        connection: &ConnectionState,
        request: Request<Incoming>,
        record: Record,
    ) -> Result<Response<Body>, NoResponse> {
        let (mut parts, incoming) = request.into_parts();
        let (request_body, body) = RequestBody::new(incoming, &self.bodies);
        let store = self.request_store(record, request_body.clone());
        parts.extensions.insert(store.clone());
        let mut expired = self.phase.clone();
        let handle = async {
            let Ok(response) = self
                .app
                .clone()
                .call(Request::from_parts(parts, body))
                .await;
            request_body.finish().await;
            response
        };
        let handled = tokio::select! {
            biased;
            response = handle => Some(response),
            () = reached(&mut expired, Phase::Expired) => None,
        };
        if let Some(error) = request_body.failure() {
            return self.refuse_body(started, error, connection, store).await;
        }
        match handled {
            Some(mut response) => {
                if !request_body.is_complete() {
                    // The rest of a streamed body would look like the next request.
                    close_after(&mut response);
                }
                self.after_commit(started, store, response).await
            }
            // The grace period ended first, and the store now refuses new records. The handler may have committed this
            // one with a write of its own.
            None => match store.append(None).await {
                Ok(Some(_)) => Err(NoResponse::GraceExpired),
                Err(AppendError::Unknown) => Err(NoResponse::OutcomeUnknown),
                Ok(None) => Ok(self.unavailable(Rejected::Draining)),
                Err(AppendError::Rejected(reason)) => Ok(self.unavailable(reason)),
            },
        }
    }

    /// Responds to a request whose body could not be read, whatever its handler returned.
    async fn refuse_body(
        &self,
        started: Instant,
        error: BodyError,
        connection: &ConnectionState,
        store: RequestStore,
    ) -> Result<Response<Body>, NoResponse> {
        let response = match error {
            BodyError::Broken => match connection.body_refusal() {
                Some(refusal) if refusal.is_for_memory() => {
                    return Ok(self.unavailable(Rejected::Memory));
                }
                Some(refusal) => refused(refusal.status, refusal.reason),
                None => return Err(NoResponse::ClientGone),
            },
            BodyError::TooLarge | BodyError::TimedOut => {
                refused(error.status(), &error.to_string())
            }
            BodyError::Memory => return Ok(self.unavailable(Rejected::Memory)),
            BodyError::Storage => {
                let mut response = self.unavailable(Rejected::Storage);
                close_after(&mut response);
                return Ok(response);
            }
        };
        self.after_commit(started, store, response).await
    }

    /// Returns `response` once the record is committed. Its `record-id` tells the client that there is a row, so one that
    /// a handler set is replaced or removed.
    async fn after_commit(
        &self,
        started: Instant,
        store: RequestStore,
        mut response: Response<Body>,
    ) -> Result<Response<Body>, NoResponse> {
        let outcome = RequestOutcome {
            status: response.status().as_u16(),
            duration: started.elapsed(),
        };
        if request_log::is_on() {
            response.extensions_mut().insert(outcome);
        }
        let headers = response.headers_mut();
        match store.append(Some(outcome)).await {
            Ok(Some(id)) => drop(headers.insert(RECORD_ID, HeaderValue::from(id))),
            Ok(None) => {
                headers.remove(RECORD_ID);
                if self.config.record {
                    self.metrics.requests_unrecorded_total.inc();
                }
            }
            Err(AppendError::Rejected(reason)) => return Ok(self.unavailable(reason)),
            Err(AppendError::Unknown) => return Err(NoResponse::OutcomeUnknown),
        }
        Ok(response)
    }

    fn is_health_check(&self, request: &Request<Incoming>) -> bool {
        self.config.health_path.as_deref() == Some(request.uri().path())
            && matches!(*request.method(), Method::GET | Method::HEAD)
    }

    fn health_response(&self) -> Response<Body> {
        match self.readiness.check() {
            Ok(()) => plain(StatusCode::OK, "ready"),
            Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, &reason.to_string()),
        }
    }

    fn unavailable(&self, reason: Rejected) -> Response<Body> {
        self.metrics.count_rejected(reason);
        responses::unavailable(reason)
    }
}
