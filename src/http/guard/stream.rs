//! The guarded socket. `read` and `write` implement its two directions.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::framing::Framing;
use super::head_memory::HeadMemory;
use super::linger::Linger;
use super::size_line::SizeLine;
use super::{ConnectionState, HeadBudget, Limits};
use crate::http::timer::Timer;

/// The size of a read while a head is expected: almost all heads fit.
const HEAD_READ_BYTES: usize = 2048;
/// The size of a read of chunk framing, and while discarding.
const BODY_READ_BYTES: usize = 8192;

/// A socket from which hyper reads only checked heads and chunk framing. See the [module](super) for how to set up hyper.
///
/// # Errors
/// Reading fails if the framing of the current body is refused ([`ConnectionState::body_refusal`] says why). Writing fails
/// if the client reads nothing for [`Limits::write_timeout`]. All other errors are the socket's own.
#[derive(Debug)]
pub struct Guard<S> {
    pub(super) socket: S,
    pub(super) limits: Limits,
    pub(super) connection_state: Arc<ConnectionState>,
    pub(super) head_memory: HeadMemory,
    pub(super) framing: Framing,
    /// Bytes from the socket that hyper does not have yet.
    pub(super) input: BytesMut,
    /// Goes to hyper first.
    pub(super) size_line: SizeLine,
    /// The number of bytes, of the input and then of the socket, that go to hyper unchanged.
    pub(super) unforwarded: u64,
    pub(super) is_body_refused: bool,
    pub(super) head_deadline: HeadDeadline,
    pub(super) write_deadline: Option<Instant>,
    pub(super) timer: Timer,
    /// Set once the sending side is shut down.
    pub(super) linger: Option<Linger>,
    /// Never sends: see [`DropSignal`].
    _alive: oneshot::Sender<Infallible>,
}

/// Signals that a guard, and its socket, were dropped.
#[derive(Debug)]
pub struct DropSignal(oneshot::Receiver<Infallible>);

impl DropSignal {
    /// Returns once the guard is dropped.
    pub async fn wait(&mut self) {
        let Err(_) = (&mut self.0).await;
    }
}

/// When the client must have sent the next part of a head.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeadDeadline {
    /// Not set since the last head was complete.
    Unset,
    FirstHead(Instant),
    NextHead(Instant),
    RestOfHead(Instant),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// Call it when the connection is accepted, within a tokio runtime: the time for the first head starts here.
    pub fn new(
        socket: S,
        limits: Limits,
        heads: HeadBudget,
        connection_state: Arc<ConnectionState>,
    ) -> (Self, DropSignal) {
        let (alive, dropped) = oneshot::channel();
        let guard = Self {
            socket,
            limits,
            connection_state,
            head_memory: HeadMemory::new(heads),
            framing: Framing::new(limits),
            input: BytesMut::new(),
            size_line: SizeLine::EMPTY,
            unforwarded: 0,
            is_body_refused: false,
            head_deadline: HeadDeadline::FirstHead(Instant::now() + limits.header_timeout),
            write_deadline: None,
            timer: Timer::default(),
            linger: None,
            _alive: alive,
        };
        (guard, DropSignal(dropped))
    }

    /// Whether hyper has all of the current message.
    pub(super) fn is_message_forwarded(&self) -> bool {
        let has_more = self.unforwarded > 0 || !self.size_line.as_bytes().is_empty();
        !has_more && self.framing.is_between_messages()
    }

    /// Reads from the socket into the input. 0: the client has shut down its sending side.
    pub(super) fn poll_fill_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read_bytes = match self.framing.is_reading_head() {
            true => HEAD_READ_BYTES,
            false => BODY_READ_BYTES,
        };
        if self.input.is_empty() && self.input.capacity() > 2 * read_bytes {
            // A long head or a body has grown it: free it before the connection idles.
            self.input = BytesMut::new();
        }
        self.input.reserve(read_bytes);
        // The future holds no state, so dropping it while it is pending loses nothing.
        pin!(self.socket.read_buf(&mut self.input)).poll(cx)
    }
}
