//! One connection: hyper on a guarded socket, told when to end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use crate::http::guard::{CloseReason, ConnectionState, Gone, Guard, HeadBudget, Limits};
use crate::shutdown::{Phase, reached};

/// Serves a connection to its end; returns why the guard closed it, if it did.
///
/// The end comes with the client's, with a time-out, with an answer that says `connection: close`, with an error of
/// `answer` (nothing more is sent then), or, once `phase` is [`Phase::Closing`], as soon as no request is open: see
/// [`ConnectionState::close_when_idle`]. After a 101 the connection ends when the handler drops the socket.
pub async fn drive<S, A, F, E>(
    socket: S,
    limits: Limits,
    heads: HeadBudget,
    mut phase: watch::Receiver<Phase>,
    answer: A,
) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Arc<ConnectionState>, Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let exchange = Arc::new(ConnectionState::new());
    let (guard, gone) = Guard::new(socket, limits, heads, exchange.clone());
    // The newest offer of another protocol, unless it was taken up. hyper remembers it for the connection's end, whatever
    // requests have followed.
    let declined: Mutex<Option<OnUpgrade>> = Mutex::new(None);
    let answer = |request: Request<Incoming>| {
        let offer = request.extensions().get::<OnUpgrade>().cloned();
        let answering = answer(exchange.clone(), request);
        async {
            let response = answering.await?;
            let mut declined = declined.lock().unwrap_or_else(PoisonError::into_inner);
            if offer.is_some() && response.status() == StatusCode::SWITCHING_PROTOCOLS {
                exchange.upgrade();
                *declined = None;
            } else if offer.is_some() {
                *declined = offer;
            }
            drop(declined);
            Ok::<_, E>(response)
        }
    };
    let ended = {
        let connection = builder(&limits)
            .serve_connection(TokioIo::new(guard), service_fn(answer))
            .with_upgrades();
        tokio::pin!(connection);
        // An error here is the client's, or has been logged where it came from.
        tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = reached(&mut phase, Phase::Closing) => {
                exchange.close_when_idle();
                connection.await
            }
        }
    };
    let declined = declined
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if ended.is_ok()
        && let Some(declined) = declined
        && let Ok(socket) = declined.await
    {
        // hyper hands over the socket of a client that has sent `Upgrade`, although nobody took the offer up. Closed here, in
        // order, so that this client reads its response.
        let _ = TokioIo::new(socket).shutdown().await;
    }
    if exchange.is_upgraded() {
        outlive_upgrade(&exchange, limits.closing_timeout, phase, gone).await;
    }
    exchange.closed_by()
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A client that shuts down its sending side still gets its answer; and hyper reads nothing while it waits.
    http.half_close(true);
    // The guard keeps the time.
    http.header_read_timeout(None);
    http.max_buf_size(BUFFER_BYTES_MAX);
    if limits.fields_max > HYPERS_FIELDS_MAX {
        http.max_headers(limits.fields_max);
    }
    http
}

/// Waits until the handler has let go of a socket that is no longer HTTP. Once `phase` is [`Phase::Closing`] the handler
/// reads its end, and gets `closing_timeout` to say goodbye.
async fn outlive_upgrade(
    exchange: &ConnectionState,
    closing_timeout: Duration,
    mut phase: watch::Receiver<Phase>,
    mut gone: Gone,
) {
    tokio::select! {
        () = gone.wait() => {}
        () = reached(&mut phase, Phase::Closing) => {
            exchange.close_when_idle();
            let _ = tokio::time::timeout(closing_timeout, gone.wait()).await;
        }
    }
}

/// More than the largest head that the configuration allows.
const BUFFER_BYTES_MAX: usize = 128 * 1024;
/// What hyper takes without being told, from an array on its stack.
const HYPERS_FIELDS_MAX: usize = 100;
