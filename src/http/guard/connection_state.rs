//! The state that a connection's guard and its service share.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Instant, SystemTime};

use super::Refusal;
use crate::closed::CloseReason;

/// The guard's information about the request whose head hyper has just parsed.
#[derive(Clone, Debug)]
pub struct RequestStart {
    /// When the head was complete.
    pub arrived: SystemTime,
    /// The same instant, to measure durations from.
    pub started: Instant,
    /// If set, the request that the service sees is a placeholder, and this refusal is the response.
    pub refusal: Option<Refusal>,
}

/// The state that a connection's guard and its service share.
#[derive(Debug)]
pub struct ConnectionState {
    inner: Mutex<Inner>,
    /// On the clock of tokio's timers.
    closing_since: OnceLock<tokio::time::Instant>,
    is_upgraded: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    request_start: RequestStart,
    body_refusal: Option<Refusal>,
    close_reason: Option<CloseReason>,
    /// The task that waits to read an upgraded socket.
    upgraded_reader: Option<Waker>,
}

impl ConnectionState {
    /// For a new connection.
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                request_start: RequestStart {
                    arrived: SystemTime::now(),
                    started: Instant::now(),
                    refusal: None,
                },
                body_refusal: None,
                close_reason: None,
                upgraded_reader: None,
            }),
            closing_since: OnceLock::new(),
            is_upgraded: AtomicBool::new(false),
        }
    }

    /// The start of the current request. Call it once, when the service gets the request: it takes the refusal.
    pub fn take_request_start(&self) -> RequestStart {
        let start = &mut self.inner().request_start;
        RequestStart {
            arrived: start.arrived,
            started: start.started,
            refusal: start.refusal.take(),
        }
    }

    /// Why the guard refused the current body, after reading it has failed. `None`: the client has gone.
    pub fn body_refusal(&self) -> Option<Refusal> {
        self.inner().body_refusal.clone()
    }

    /// From now on the connection closes as soon as it is between requests and no byte of the next one has arrived.
    /// A head that has begun, and the first head of a connection, still get [`closing_timeout`](super::Limits): a client
    /// that has just connected is about to send. An upgraded socket reads as if at its end.
    ///
    /// Call it within a tokio runtime, then poll hyper's connection once more.
    pub fn close_when_idle(&self) {
        self.closing_since.get_or_init(tokio::time::Instant::now);
        let reader = self.inner().upgraded_reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The response to the current request is a 101: from now on the socket belongs to another protocol, and the guard
    /// forwards its bytes unchecked.
    pub fn upgrade(&self) {
        self.is_upgraded.store(true, Relaxed);
    }

    /// Whether [`upgrade`](Self::upgrade) was called.
    pub fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Relaxed)
    }

    /// [`close_when_idle`](Self::close_when_idle) wakes this task, which reads an upgraded socket.
    pub(super) fn wake_on_close(&self, reader: &Waker) {
        self.inner().upgraded_reader = Some(reader.clone());
    }

    /// After the connection has ended: why the guard closed it without a response, if it did.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.inner().close_reason
    }

    pub(super) fn set_close_reason(&self, reason: CloseReason) {
        self.inner().close_reason = Some(reason);
    }

    /// A request begins now.
    pub(super) fn start_request(&self, refusal: Option<Refusal>) {
        let mut inner = self.inner();
        inner.request_start = RequestStart {
            arrived: SystemTime::now(),
            // tokio's clock, which tests can stop.
            started: tokio::time::Instant::now().into_std(),
            refusal,
        };
        inner.body_refusal = None;
    }

    pub(super) fn refuse_body(&self, refusal: Refusal) {
        self.inner().body_refusal = Some(refusal);
    }

    /// When [`close_when_idle`](Self::close_when_idle) was first called.
    pub(super) fn closing_since(&self) -> Option<tokio::time::Instant> {
        self.closing_since.get().copied()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // No code that holds the lock can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ConnectionState {
    fn default() -> Self {
        Self::new()
    }
}
