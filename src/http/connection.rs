//! One connection: runs hyper on a guarded socket, and closes it on a timeout, an error or a shutdown.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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

use crate::closed::CloseReason;
use crate::http::guard::{ConnectionState, DropSignal, Guard, HeadBudget, Limits};
use crate::http::upgraded::HandlerEnd;
use crate::shutdown::{Phase, reached};

/// Above the largest head that the configuration allows.
const BUFFER_BYTES_MAX: usize = 128 * 1024;
/// hyper's default: up to this many fields it uses an array on its stack.
const HYPER_FIELDS_MAX: usize = 100;

/// Serves a connection to its end. Returns why the guard closed it, if it did.
///
/// The connection ends when the client closes it, on a timeout, after a response with `connection: close`, and without a
/// further byte on an error of `respond`. From [`Phase::Closing`] on it ends as soon as no request is open: see
/// [`ConnectionState::close_when_idle`]. After a 101 it ends when the handler drops the socket, and with a [`HandlerEnd`]
/// when the handler has ended too.
pub async fn serve<S, R, F, E>(
    socket: S,
    limits: Limits,
    heads: HeadBudget,
    mut phase: watch::Receiver<Phase>,
    respond: R,
) -> Option<CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Fn(Arc<ConnectionState>, Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let state = Arc::new(ConnectionState::new());
    let (guard, dropped) = Guard::new(socket, limits, heads, state.clone());
    // The newest upgrade that a client offered and no handler accepted. hyper keeps it until the connection ends, even if
    // further requests follow.
    let declined_upgrade: Mutex<Option<OnUpgrade>> = Mutex::new(None);
    let handler_end: OnceLock<HandlerEnd> = OnceLock::new();
    let service = |request: Request<Incoming>| {
        let offer = request.extensions().get::<OnUpgrade>().cloned();
        let response = respond(state.clone(), request);
        async {
            let response = response.await?;
            let mut declined = declined_upgrade
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if offer.is_some() && response.status() == StatusCode::SWITCHING_PROTOCOLS {
                state.upgrade();
                if let Some(end) = response.extensions().get::<HandlerEnd>() {
                    handler_end.get_or_init(|| end.clone());
                }
                *declined = None;
            } else if offer.is_some() {
                *declined = offer;
            }
            drop(declined);
            Ok::<_, E>(response)
        }
    };
    let result = {
        let connection = builder(&limits)
            .serve_connection(TokioIo::new(guard), service_fn(service))
            .with_upgrades();
        tokio::pin!(connection);
        // An error here is the client's, or was logged at its source.
        tokio::select! {
            biased;
            result = connection.as_mut() => result,
            () = reached(&mut phase, Phase::Closing) => {
                state.close_when_idle();
                connection.await
            }
        }
    };
    let declined = declined_upgrade
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if result.is_ok()
        && let Some(declined) = declined
        && let Ok(socket) = declined.await
    {
        // hyper hands over the socket of a client that sent `Upgrade` even if no handler accepted. Closing it here, with
        // the guard's lingering, lets the client read its response.
        let _ = TokioIo::new(socket).shutdown().await;
    }
    if state.is_upgraded() {
        let closing_timeout = limits.closing_timeout;
        match handler_end.into_inner() {
            Some(end) => wait_for_handler(&state, closing_timeout, phase, dropped, end).await,
            None => wait_for_upgraded(&state, closing_timeout, phase, dropped).await,
        }
    }
    state.close_reason()
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A client that shuts down its sending side still gets its response; and hyper does not read ahead.
    http.half_close(true);
    // The guard has its own timers.
    http.header_read_timeout(None);
    http.max_buf_size(BUFFER_BYTES_MAX);
    if limits.fields_max > HYPER_FIELDS_MAX {
        http.max_headers(limits.fields_max);
    }
    http
}

/// Waits until the handler drops an upgraded socket. At [`Phase::Closing`] the handler reads the end of the stream and then
/// has `closing_timeout` left, to send a close message for example.
async fn wait_for_upgraded(
    state: &ConnectionState,
    closing_timeout: Duration,
    mut phase: watch::Receiver<Phase>,
    mut dropped: DropSignal,
) {
    tokio::select! {
        () = dropped.wait() => {}
        () = reached(&mut phase, Phase::Closing) => {
            state.close_when_idle();
            let _ = tokio::time::timeout(closing_timeout, dropped.wait()).await;
        }
    }
}

/// Waits until the handler has ended. It closes the socket itself; at [`Phase::Closing`] the client has `closing_timeout`
/// to respond to that, and then the handler reads the end of the stream. At [`Phase::Expired`] nothing is waited for.
async fn wait_for_handler(
    state: &ConnectionState,
    closing_timeout: Duration,
    mut phase: watch::Receiver<Phase>,
    mut dropped: DropSignal,
    mut handler_end: HandlerEnd,
) {
    let mut expired = phase.clone();
    let close = async {
        reached(&mut phase, Phase::Closing).await;
        tokio::time::sleep(closing_timeout).await;
        state.close_when_idle();
        std::future::pending().await
    };
    let end = async {
        dropped.wait().await;
        handler_end.wait().await;
    };
    tokio::select! {
        () = end => {}
        () = close => {}
        () = reached(&mut expired, Phase::Expired) => {}
    }
}
