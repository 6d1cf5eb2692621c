//! One connection: hyper on a guarded socket, told when to end.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::guard::{CloseReason, Exchange, Guard, Limits};
use crate::shutdown::{Phase, reached};

/// Serves a connection to its end; returns why the guard closed it, if it did.
///
/// The end comes with the client's, with a time-out, with an answer that says `connection: close`, with an error of
/// `answer` (nothing more is sent then), or, once `phase` is [`Phase::Closing`], as soon as no request is open: see
/// [`Exchange::close_when_idle`].
pub async fn drive<S, A, F, E>(
    socket: S,
    limits: Limits,
    mut phase: watch::Receiver<Phase>,
    answer: A,
) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Arc<Exchange>, Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let exchange = Arc::new(Exchange::new());
    let socket = TokioIo::new(Guard::new(socket, limits, exchange.clone()));
    let mut http = http1::Builder::new();
    // A client that shuts down its sending side still gets its answer; and hyper reads nothing while it waits.
    http.half_close(true);
    // The guard keeps the time.
    http.header_read_timeout(None);
    http.max_buf_size(BUFFER_BYTES_MAX);
    if limits.fields_max > HYPERS_FIELDS_MAX {
        http.max_headers(limits.fields_max);
    }
    let connection = http.serve_connection(
        socket,
        service_fn(|request| answer(exchange.clone(), request)),
    );
    tokio::pin!(connection);
    // An error here is the client's, or has been logged where it came from.
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = reached(&mut phase, Phase::Closing) => {
            exchange.close_when_idle();
            connection.as_mut().await
        }
    };
    if ended.is_ok() {
        // Where a client has sent `Upgrade`, hyper leaves the socket to whoever would take it over, which nobody does.
        // Asked once more it shuts it down, so that this client, too, gets to read its answer.
        let _ = connection.await;
    }
    exchange.closed_by()
}

/// More than the largest head that the configuration allows.
const BUFFER_BYTES_MAX: usize = 128 * 1024;
/// What hyper takes without being told, from an array on its stack.
const HYPERS_FIELDS_MAX: usize = 100;
