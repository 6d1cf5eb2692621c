//! The recorder: whatever is answered on a public listener is written down first.
//!
//! Everything that can produce an answer is called from here: the guard's refusals, the body's limits, the
//! handler and its panics. Every answer waits for the store, but for three kinds that have no row: the health path's,
//! the refusal of a head that gives nothing to record, and the 503 of a request that was not recorded.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Router;
use axum::body::Body;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;
use tower_service::Service;

use crate::config::Config;
use crate::http::body::{self, BodyBudget, BodyError, BufferedBody};
use crate::http::client_address::{Peer, client_address};
use crate::http::guard::{ConnectionState, Refusal};
use crate::http::responses::{self, close_after, plain, refused};
use crate::http::streaming_body::end_when_closing;
use crate::metrics::{InFlight, Metrics};
use crate::readiness::Readiness;
use crate::rejected::Rejected;
use crate::shutdown::{Phase, reached};
use crate::store::{AppendError, Record, RequestStore, Store};

const RECORD_ID: HeaderName = HeaderName::from_static("record-id");

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The client is gone before its body ended: there is nobody to answer, and no row.
    #[error("the client has gone")]
    ClientGone,
    /// Whether the row was written is not known.
    #[error("whether the request was recorded is not known")]
    Unknown,
    /// The row is there, written by the handler, which had no answer yet when the grace period ended: a 503 would say
    /// that there is none.
    #[error("the grace period has ended between the record and its answer")]
    CutOff,
}

/// One for all public connections.
pub struct Recorder {
    config: Arc<Config>,
    app: Router,
    store: Store,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    phase: watch::Receiver<Phase>,
    bodies: BodyBudget,
}

impl Recorder {
    /// `app` is called for every request that is not refused before.
    pub fn new(
        config: Arc<Config>,
        app: Router,
        store: Store,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let bodies = BodyBudget::new(config.http.body_bytes_in_flight_max);
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

    /// Answers one request.
    ///
    /// # Errors
    /// [`NoAnswer`]: the connection is to be closed without a word.
    pub async fn answer(
        &self,
        peer: Peer,
        exchange: &ConnectionState,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, NoAnswer> {
        let _in_flight = InFlight::enter(&self.metrics);
        let head = exchange.take_request_start();
        let timestamp = head
            .arrived
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        let is_health_check = head.refusal.is_none() && self.is_health_check(&request);
        let mut response = match head.refusal {
            Some(refusal) => self.answer_refusal(peer, timestamp, refusal).await?,
            None if is_health_check => self.answer_health_check(),
            None => {
                self.answer_request(peer, timestamp, exchange, request)
                    .await?
            }
        };
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // A 101 says `connection: upgrade`, and its socket ends with the server all the same.
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if self.readiness.is_draining() && !is_upgrade {
            close_after(&mut response);
        }
        let response = end_when_closing(response, &self.phase);
        // A proxy asks for each replica's health several times a second: that would hide what clients see.
        if !is_health_check {
            self.metrics.count_request(response.status());
            self.metrics
                .request_duration_seconds
                .observe(head.started.elapsed().as_secs_f64());
        }
        Ok(response)
    }

    async fn answer_request(
        &self,
        peer: Peer,
        timestamp: f64,
        exchange: &ConnectionState,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, NoAnswer> {
        let (mut parts, incoming) = request.into_parts();
        let mut record = Record {
            timestamp,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            content_length: 0,
            remote_addr: client_address(peer, &parts.headers, &self.config.trusted_proxies),
        };
        let mut expired = self.phase.clone();
        let (read_bytes, body) = tokio::select! {
            biased;
            read = body::read(incoming, &self.config.http, &self.bodies) => read,
            () = reached(&mut expired, Phase::Expired) => return Ok(self.unavailable(Rejected::Draining)),
        };
        record.content_length = read_bytes;
        let BufferedBody { bytes, share } = match body {
            Ok(body) => body,
            Err(BodyError::Refused(status, reason)) => {
                return self.record_refusal(record, status, reason).await;
            }
            Err(BodyError::Broken) => match exchange.body_refusal() {
                Some(refusal) if refusal.is_for_memory() => {
                    return Ok(self.unavailable(Rejected::Memory));
                }
                Some(refusal) => {
                    return self
                        .record_refusal(record, refusal.status, refusal.reason)
                        .await;
                }
                None => return Err(NoAnswer::ClientGone),
            },
            Err(BodyError::Memory) => return Ok(self.unavailable(Rejected::Memory)),
        };
        let store = RequestStore::new(self.store.clone(), self.config.record.then_some(record));
        parts.extensions.insert(store.clone());
        let handled = {
            let mut app = self.app.clone();
            tokio::select! {
                biased;
                response = app.call(Request::from_parts(parts, Body::from(bytes))) => {
                    let Ok(response) = response;
                    Some(response)
                }
                () = reached(&mut expired, Phase::Expired) => None,
            }
        };
        let answer = match handled {
            Some(response) => self.release(store, response).await,
            // The grace period has ended before the handler. The store refuses by now; but a write of the handler's may
            // have carried the record.
            None => match store.append().await {
                Ok(Some(_)) => Err(NoAnswer::CutOff),
                Err(AppendError::Unknown) => Err(NoAnswer::Unknown),
                Ok(None) => Ok(self.unavailable(Rejected::Draining)),
                Err(AppendError::Rejected(reason)) => Ok(self.unavailable(reason)),
            },
        };
        drop(share);
        answer
    }

    /// Waits for the record, then lets the answer go. Its `record-id` is ours alone: by it a client tells whether there is a
    /// row.
    async fn release(
        &self,
        store: RequestStore,
        mut response: Response<Body>,
    ) -> Result<Response<Body>, NoAnswer> {
        match store.append().await {
            Ok(Some(id)) => {
                response
                    .headers_mut()
                    .insert(RECORD_ID, HeaderValue::from(id));
                Ok(response)
            }
            Ok(None) => {
                response.headers_mut().remove(RECORD_ID);
                Ok(response)
            }
            Err(AppendError::Rejected(reason)) => Ok(self.unavailable(reason)),
            Err(AppendError::Unknown) => Err(NoAnswer::Unknown),
        }
    }

    async fn answer_refusal(
        &self,
        peer: Peer,
        timestamp: f64,
        refusal: Refusal,
    ) -> Result<Response<Body>, NoAnswer> {
        if refusal.is_for_memory() {
            return Ok(self.unavailable(Rejected::Memory));
        }
        let Some(request) = refusal.request else {
            return Ok(refused(refusal.status, refusal.reason));
        };
        let record = Record {
            timestamp,
            method: request.method,
            path: request.path,
            content_length: 0,
            remote_addr: client_address(peer, &request.forwarded_for, &self.config.trusted_proxies),
        };
        self.record_refusal(record, refusal.status, refusal.reason)
            .await
    }

    async fn record_refusal(
        &self,
        record: Record,
        status: StatusCode,
        reason: &'static str,
    ) -> Result<Response<Body>, NoAnswer> {
        let store = RequestStore::new(self.store.clone(), self.config.record.then_some(record));
        self.release(store, refused(status, reason)).await
    }

    fn is_health_check(&self, request: &Request<Incoming>) -> bool {
        self.config.health_path.as_deref() == Some(request.uri().path())
            && matches!(*request.method(), Method::GET | Method::HEAD)
    }

    fn answer_health_check(&self) -> Response<Body> {
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
