//! Accepting: one loop a listener, with a bound on what is open.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::unconstrained;

use crate::http::client_address::Peer;
use crate::http::connection;
use crate::http::guard::{ConnectionState, HeadBudget, Limits};
use crate::http::listen::{Listener, Stream};
use crate::metrics::Metrics;
use crate::shutdown::{Phase, reached};
use crate::telemetry::log_rate_limited;

/// How long to let be when accept(2) fails for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection needs; shared by the listeners of one kind.
#[derive(Clone)]
pub struct Acceptor<A> {
    /// For every connection's guard.
    pub limits: Limits,
    /// For all of their heads together.
    pub heads: HeadBudget,
    /// Ends the loop, and idle connections, at [`Phase::Closing`].
    pub phase: watch::Receiver<Phase>,
    /// One permit a connection.
    pub connections: Arc<Semaphore>,
    /// Counts connections; none for the admin listeners.
    pub metrics: Option<Arc<Metrics>>,
    /// Answers one request.
    pub answer: A,
}

impl<A, F, E> Acceptor<A>
where
    A: Fn(Peer, Arc<ConnectionState>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    /// Accepts until the phase is [`Phase::Closing`], and then what the kernel has queued by that time: closing a
    /// listener resets what waits in it.
    ///
    /// A connection gets its permit when it is there, so that a listener where nobody calls holds none. One that finds
    /// no permit free waits, accepted but not served, and whatever comes behind it waits in the kernel.
    pub async fn run(self, listener: Listener) {
        let mut phase = self.phase.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = reached(&mut phase, Phase::Closing) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer).await,
                Err(error) => {
                    log_rate_limited("a connection could not be accepted", &error);
                    if !concerns_one_connection(&error) {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
        // Lets the runtime learn of what has arrived meanwhile.
        tokio::task::yield_now().await;
        // Else the runtime would say "pending" after so many, to let others run, and the rest would be taken for none.
        unconstrained(self.accept_queued(&listener)).await;
    }

    async fn accept_queued(&self, listener: &Listener) {
        loop {
            let mut accept = pin!(listener.accept());
            match poll_fn(|context| Poll::Ready(accept.as_mut().poll(context))).await {
                Poll::Ready(Ok((stream, peer))) => self.serve(stream, peer).await,
                Poll::Ready(Err(error)) if concerns_one_connection(&error) => {}
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
        }
    }

    /// Waits for a permit, and leaves the connection to a task of its own.
    async fn serve(&self, stream: Box<dyn Stream>, peer: Peer) {
        let open = Open::enter(self.permit().await, self.metrics.clone());
        let Self {
            limits,
            heads,
            phase,
            answer,
            ..
        } = self.clone();
        tokio::spawn(async move {
            let closed_by =
                connection::drive(stream, limits, heads, phase, move |exchange, request| {
                    answer(peer, exchange, request)
                })
                .await;
            if let (Some(metrics), Some(reason)) = (&open.metrics, closed_by) {
                metrics.count_closed(reason);
            }
        });
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = self.connections.clone().try_acquire_owned() {
            return permit;
        }
        if let Some(metrics) = &self.metrics {
            metrics.accept_waits_total.inc();
        }
        self.connections
            .clone()
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore")
    }
}

/// An open connection: it is counted, and has its permit, while this lives, however its task ends.
struct Open {
    metrics: Option<Arc<Metrics>>,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn enter(permit: OwnedSemaphorePermit, metrics: Option<Arc<Metrics>>) -> Self {
        if let Some(metrics) = &metrics {
            metrics.connections.inc();
        }
        Self {
            metrics,
            _permit: permit,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.connections.dec();
        }
    }
}

/// Errors of the connection that was waiting, not of the listener (accept(2), "Error handling").
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}
