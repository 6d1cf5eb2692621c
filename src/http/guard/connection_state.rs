//! What the guard of one connection and the service that answers on it tell each other.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Instant, SystemTime};

use super::{CloseReason, Refusal};

/// FramingHeaders about the head that hyper has just parsed.
#[derive(Clone, Debug)]
pub struct RequestStart {
    /// When the head was complete.
    pub arrived: SystemTime,
    /// The same instant, to measure from.
    pub started: Instant,
    /// Set: the request the service sees is a stand-in, and this is to be answered.
    pub refusal: Option<Refusal>,
}

/// What the guard of one connection and the service that answers on it tell each other.
#[derive(Debug)]
pub struct ConnectionState {
    slot: Mutex<Slot>,
    /// Since when, on the clock of tokio's timers.
    told_to_close: OnceLock<tokio::time::Instant>,
    /// The socket is another protocol's.
    is_upgraded: AtomicBool,
}

#[derive(Debug)]
struct Slot {
    head: RequestStart,
    body_refusal: Option<Refusal>,
    closed_by: Option<CloseReason>,
    /// Of whoever reads an upgraded socket and waits.
    reader: Option<Waker>,
}

impl ConnectionState {
    /// For a new connection.
    pub fn new() -> Self {
        Self {
            slot: Mutex::new(Slot {
                head: RequestStart {
                    arrived: SystemTime::now(),
                    started: Instant::now(),
                    refusal: None,
                },
                body_refusal: None,
                closed_by: None,
                reader: None,
            }),
            told_to_close: OnceLock::new(),
            is_upgraded: AtomicBool::new(false),
        }
    }

    /// The facts about the current request's head. To be called once, at the start of each request.
    pub fn take_request_start(&self) -> RequestStart {
        let head = &mut self.slot().head;
        RequestStart {
            arrived: head.arrived,
            started: head.started,
            refusal: head.refusal.take(),
        }
    }

    /// After the current body has failed: the verdict, if the client's framing was the cause. `None`: the client is
    /// gone.
    pub fn body_refusal(&self) -> Option<Refusal> {
        self.slot().body_refusal.clone()
    }

    /// From now on the connection ends where it is between two requests and nothing of another has arrived. A head that
    /// has begun, and the first one of a connection, still get [`closing_timeout`](super::Limits): who has just connected
    /// is about to ask. To be called within a tokio runtime; whoever does must poll hyper's connection once more. An
    /// upgraded socket reads as at its end.
    pub fn close_when_idle(&self) {
        self.told_to_close.get_or_init(tokio::time::Instant::now);
        let reader = self.slot().reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The answer to the current request is a 101: from now on the socket is another protocol's, and the guard only passes
    /// its bytes on.
    pub fn upgrade(&self) {
        self.is_upgraded.store(true, Relaxed);
    }

    /// Whether [`upgrade`](Self::upgrade) was called.
    pub fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Relaxed)
    }

    /// Has the reader of an upgraded socket woken by [`close_when_idle`](Self::close_when_idle).
    pub(super) fn wake_at_the_end(&self, reader: &Waker) {
        self.slot().reader = Some(reader.clone());
    }

    /// After the connection has ended: whether the guard closed it for a time-out.
    pub fn closed_by(&self) -> Option<CloseReason> {
        self.slot().closed_by
    }

    pub(super) fn begin(&self, arrived: SystemTime, started: Instant, refusal: Option<Refusal>) {
        let mut slot = self.slot();
        slot.head = RequestStart {
            arrived,
            started,
            refusal,
        };
        slot.body_refusal = None;
    }

    pub(super) fn refuse_body(&self, refusal: Refusal) {
        self.slot().body_refusal = Some(refusal);
    }

    pub(super) fn closing(&self, reason: CloseReason) {
        self.slot().closed_by = Some(reason);
    }

    pub(super) fn told_to_close(&self) -> Option<tokio::time::Instant> {
        self.told_to_close.get().copied()
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // Nothing can panic while it is held.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ConnectionState {
    fn default() -> Self {
        Self::new()
    }
}
