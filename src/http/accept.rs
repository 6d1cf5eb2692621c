//! Accepts connections: one loop for each listener, and a limit on open connections.

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

/// The pause after accept(2) fails for lack of file descriptors or memory.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Marks a request whose connection has one of the reserved permits: the others were taken.
#[derive(Clone, Copy)]
pub struct ReservedConnection;

/// Accepts and serves connections. All public listeners share one, all admin listeners another.
#[derive(Clone)]
pub struct Acceptor<R> {
    /// For every connection's guard.
    pub limits: Limits,
    /// For the heads of all connections together.
    pub heads: HeadBudget,
    /// Ends the loop, and idle connections, at [`Phase::Closing`].
    pub phase: watch::Receiver<Phase>,
    /// One permit for each connection.
    pub connections: Arc<Semaphore>,
    /// Permits for connections beyond these, whose requests are marked with [`ReservedConnection`].
    pub reserved: Option<Arc<Semaphore>>,
    /// Counts connections. None for the admin listeners.
    pub metrics: Option<Arc<Metrics>>,
    /// Responds to one request.
    pub respond: R,
}

impl<R, F, E> Acceptor<R>
where
    R: Fn(Peer, Arc<ConnectionState>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    /// Accepts until [`Phase::Closing`], and then the connections that the kernel has queued by that time: closing a
    /// listener resets those that wait in it.
    ///
    /// A permit is taken after a connection is accepted, so that an unused listener holds none. A connection without a
    /// free permit waits unserved, and all later ones wait in the kernel.
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
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                }
            }
        }
        // Lets the runtime notice connections that have arrived meanwhile.
        tokio::task::yield_now().await;
        // Unconstrained: otherwise tokio's cooperative budget returns "pending" before the queue is empty.
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

    /// Waits for a permit, then serves the connection in a task of its own.
    async fn serve(&self, stream: Box<dyn Stream>, peer: Peer) {
        let (permit, is_reserved) = self.permit().await;
        let open = OpenConnection::new(permit, self.metrics.clone());
        let Self {
            limits,
            heads,
            phase,
            respond,
            ..
        } = self.clone();
        tokio::spawn(async move {
            let close_reason =
                connection::serve(stream, limits, heads, phase, move |state, mut request| {
                    if is_reserved {
                        request.extensions_mut().insert(ReservedConnection);
                    }
                    respond(peer, state, request)
                })
                .await;
            if let (Some(metrics), Some(reason)) = (&open.metrics, close_reason) {
                metrics.count_closed(reason);
            }
        });
    }

    /// A permit, and whether it is a reserved one.
    async fn permit(&self) -> (OwnedSemaphorePermit, bool) {
        if let Ok(permit) = self.connections.clone().try_acquire_owned() {
            return (permit, false);
        }
        if let Some(metrics) = &self.metrics {
            metrics.accept_waits_total.inc();
        }
        let permits = self.reserved.as_ref().unwrap_or(&self.connections);
        let permit = permits.clone().acquire_owned().await;
        (
            permit.expect("the semaphore is never closed"),
            self.reserved.is_some(),
        )
    }
}

/// Counts an open connection and holds its permit until it is dropped, even if its task panics.
struct OpenConnection {
    metrics: Option<Arc<Metrics>>,
    _permit: OwnedSemaphorePermit,
}

impl OpenConnection {
    fn new(permit: OwnedSemaphorePermit, metrics: Option<Arc<Metrics>>) -> Self {
        if let Some(metrics) = &metrics {
            metrics.connections.inc();
        }
        Self {
            metrics,
            _permit: permit,
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.connections.dec();
        }
    }
}

/// Whether the error belongs to the accepted connection rather than to the listener (accept(2), "Error handling").
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_of_descriptors_concerns_every_connection_and_an_aborted_one_only_itself() {
        for (code, is_one) in [
            (libc::ECONNABORTED, true),
            (libc::EINVAL, true),
            (libc::EMFILE, false),
            (libc::ENOMEM, false),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(concerns_one_connection(&error), is_one, "{error}");
        }
    }
}
