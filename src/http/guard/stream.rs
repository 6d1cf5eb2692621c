//! The guard around a socket: reading, and the time-outs.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Framing, Line, Step};
use super::heads::{HeadBudget, HeadShare};
use super::write::Closing;
use super::{CloseReason, ConnectionState, Limits, Refusal};

/// Room for a read while a head is wanted: almost all heads fit.
const HEAD_READ_BYTES: usize = 2048;
/// Room for a read of chunk framing, and while discarding.
const BODY_READ_BYTES: usize = 8192;

/// A socket that gives hyper only what has been checked. See the [module](super) for how hyper must be set up.
///
/// # Errors
/// Reading fails where the framing of the current body is refused ([`ConnectionState::body_refusal`] tells), writing where
/// the client takes nothing for [`Limits::write_timeout`]; else as the socket's own.
#[derive(Debug)]
pub struct Guard<S> {
    pub(super) socket: S,
    pub(super) limits: Limits,
    pub(super) exchange: Arc<ConnectionState>,
    pub(super) heads: HeadBudget,
    /// None while this connection's heads are small and whole.
    pub(super) share: Option<HeadShare>,
    pub(super) framing: Framing,
    /// From the socket, not yet passed on.
    pub(super) input: BytesMut,
    /// For hyper, before `pass`.
    line: Line,
    /// So many bytes, of the input and then of the socket, are hyper's as they are.
    pub(super) pass: u64,
    body_refused: bool,
    waiting: Waiting,
    pub(super) write_deadline: Option<Instant>,
    /// One for all deadlines. It may fire early: then it is set anew, which is cheaper than once a request.
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    pub(super) closing: Option<Closing>,
    /// Nothing is ever sent: see [`Gone`].
    _alive: oneshot::Sender<Infallible>,
}

/// Tells when a guard, and with it its socket, was dropped.
#[derive(Debug)]
pub struct Gone(oneshot::Receiver<Infallible>);

impl Gone {
    /// Returns once the guard is gone.
    pub async fn wait(&mut self) {
        let Err(_) = (&mut self.0).await;
    }
}

/// What is waited for before a head is complete, and until when.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// Nothing yet, or a body.
    No,
    FirstHead(Instant),
    NextHead(Instant),
    RestOfHead(Instant),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// To be called when the connection was accepted, within a tokio runtime: the first head's time begins here.
    pub fn new(
        socket: S,
        limits: Limits,
        heads: HeadBudget,
        exchange: Arc<ConnectionState>,
    ) -> (Self, Gone) {
        let (alive, gone) = oneshot::channel();
        let guard = Self {
            socket,
            limits,
            exchange,
            heads,
            share: None,
            framing: Framing::new(limits),
            input: BytesMut::new(),
            line: Line::EMPTY,
            pass: 0,
            body_refused: false,
            waiting: Waiting::FirstHead(Instant::now() + limits.header_timeout),
            write_deadline: None,
            timer: None,
            closing: None,
            _alive: alive,
        };
        (guard, Gone(gone))
    }

    /// Reads from a socket that is another protocol's: first what came with the request, then all that comes, until the
    /// connection is told to close.
    fn poll_upgraded(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.exchange.told_to_close().is_some() {
            return Poll::Ready(Ok(()));
        }
        if !self.input.is_empty() {
            let count = self.input.len().min(buf.remaining());
            buf.put_slice(&self.input.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if read.is_pending() {
            self.exchange.wake_at_the_end(cx.waker());
        }
        read
    }

    /// Whether all of a message, or of a refusal's stand-in, is with hyper.
    pub(super) fn is_at_end(&self) -> bool {
        let waits = self.pass > 0 || !self.line.as_bytes().is_empty();
        !waits && (self.framing.is_between_messages() || self.framing.is_refused())
    }

    /// Gives hyper what is ready.
    fn put(&mut self, buf: &mut ReadBuf<'_>) {
        let line = self.line.as_bytes();
        let count = line.len().min(buf.remaining());
        buf.put_slice(&line[..count]);
        self.line.advance(count);

        let pass = usize::try_from(self.pass).unwrap_or(usize::MAX);
        let count = pass.min(self.input.len()).min(buf.remaining());
        buf.put_slice(&self.input[..count]);
        self.input.advance(count);
        self.pass -= count as u64;
    }

    /// Reads what passes as it is straight into hyper's buffer.
    fn poll_pass(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.pass >= buf.remaining() as u64 {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        } else {
            // Fits, for it is less than the buffer's room.
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(self.pass as usize));
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
            let count = part.filled().len();
            buf.advance(count);
        }
        self.pass -= (buf.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }

    /// Reads into the input. 0: the client has ended its side.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = match self.framing.wants_head() {
            true => HEAD_READ_BYTES,
            false => BODY_READ_BYTES,
        };
        if self.input.is_empty() && self.input.capacity() > 2 * room {
            // Grown for a long head or a body: not to be kept while the connection idles.
            self.input = BytesMut::new();
        }
        self.input.reserve(room);
        // The future holds no state: it may be dropped while it is pending.
        pin!(self.socket.read_buf(&mut self.input)).poll(cx)
    }

    fn begin(&mut self, refusal: Option<Refusal>) {
        self.waiting = Waiting::No;
        let (arrived, started) = (SystemTime::now(), Instant::now().into_std());
        self.exchange.begin(arrived, started, refusal);
    }

    /// Does what the framing says.
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::More | Step::Over => {}
            Step::Head { head, body } => {
                self.begin(None);
                self.head_has_passed(head);
                self.pass = head as u64 + body;
            }
            Step::Chunk { line, bytes } => (self.line, self.pass) = (line, bytes),
            Step::End { line } => self.line = line,
            Step::Refuse { refusal, stand_in } => {
                self.begin(Some(refusal));
                // What the head has grown is not to be kept.
                self.input = BytesMut::from(stand_in);
                self.pass = stand_in.len() as u64;
            }
            Step::RefuseBody(refusal) => {
                self.exchange.refuse_body(refusal);
                self.body_refused = true;
                self.pass = 0;
            }
        }
    }

    /// Nothing has arrived. Ready: the time is up, or the connection is to end; with what is to be done, if anything.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        if !self.framing.wants_head() {
            return Poll::Pending;
        }
        let idle = self.framing.is_between_messages();
        let (header, between) = (self.limits.header_timeout, self.limits.idle_timeout);
        let (deadline, reason) = match self.waiting {
            Waiting::FirstHead(deadline) => (deadline, CloseReason::HeaderTimeout),
            Waiting::RestOfHead(deadline) => (deadline, CloseReason::HeaderTimeout),
            Waiting::NextHead(deadline) if idle => (deadline, CloseReason::IdleTimeout),
            _ if idle => {
                let deadline = Instant::now() + between;
                self.waiting = Waiting::NextHead(deadline);
                (deadline, CloseReason::IdleTimeout)
            }
            _ => {
                let deadline = Instant::now() + header;
                self.waiting = Waiting::RestOfHead(deadline);
                (deadline, CloseReason::HeaderTimeout)
            }
        };
        let told_to_close = self.exchange.told_to_close();
        let deadline = match (told_to_close, self.waiting) {
            (None, _) => deadline,
            (Some(_), Waiting::NextHead(_)) => return Poll::Ready(None),
            (Some(told), _) => deadline.min(told + self.limits.closing_timeout),
        };
        if !elapsed(&mut self.timer, cx, deadline) {
            return Poll::Pending;
        }
        if idle {
            if told_to_close.is_none() {
                self.exchange.closing(reason);
            }
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.framing.time_out(&self.input)))
    }

    /// Reads of the current message what has been checked.
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            self.put(buf);
            let some = buf.filled().len() > before;
            // Where a message ends, hyper must ask again before it gets anything of the next.
            if buf.remaining() == 0 || (some && (self.pass > 0 || self.is_at_end())) {
                return Poll::Ready(Ok(()));
            }
            if self.pass > 0 {
                return self.poll_pass(cx, buf);
            }
            match self.framing.step(&mut self.input) {
                Step::More | Step::Over if some => return Poll::Ready(Ok(())),
                Step::Over if self.body_refused => {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                Step::Over => return Poll::Ready(Ok(())),
                Step::More => {}
                step => {
                    self.take(step);
                    continue;
                }
            }
            let next = match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => self.framing.end(&self.input),
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(self.poll_wait(cx)),
            };
            match next {
                Some(step) => self.take(step),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Whether the deadline has passed. If not, the task is woken then, or earlier.
pub(super) fn elapsed(
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
    deadline: Instant,
) -> bool {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if timer.deadline() > deadline {
        timer.as_mut().reset(deadline);
    }
    while timer.as_mut().poll(cx).is_ready() {
        if Instant::now() >= deadline {
            return true;
        }
        timer.as_mut().reset(deadline);
    }
    false
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.exchange.is_upgraded() {
            return this.poll_upgraded(cx, buf);
        }
        if this.is_shed() {
            return Poll::Ready(Ok(()));
        }
        let read = this.poll_message(cx, buf);
        match read {
            Poll::Pending => this.wait_with_head(cx),
            Poll::Ready(_) => this.work_with_head(),
        }
        read
    }
}
