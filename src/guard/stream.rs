//! The guard around a socket: reading and writing, the time-outs, the lingering close.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Framing, Line, Step};
use super::{CloseReason, Exchange, Limits, Refusal};

/// Room for a read while a head is wanted: almost all heads fit.
const HEAD_READ_BYTES: usize = 2048;
/// Room for a read of chunk framing, and while discarding.
const BODY_READ_BYTES: usize = 8192;
/// How long a client that is still sending may take to read its answer before the connection is cut.
const LINGER: Duration = Duration::from_secs(2);
/// How much of what it sends is discarded meanwhile.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// A socket that gives hyper only what has been checked. See the [module](super) for how hyper must be set up.
///
/// # Errors
/// Reading fails where the framing of the current body is refused ([`Exchange::body_refusal`] tells), writing where
/// the client takes nothing for [`Limits::write_timeout`]; else as the socket's own.
#[derive(Debug)]
pub struct Guard<S> {
    socket: S,
    limits: Limits,
    exchange: Arc<Exchange>,
    framing: Framing,
    /// From the socket, not yet passed on.
    input: BytesMut,
    /// For hyper, before `pass`.
    line: Line,
    /// So many bytes, of the input and then of the socket, are hyper's as they are.
    pass: u64,
    body_refused: bool,
    waiting: Waiting,
    write_deadline: Option<Instant>,
    /// One for all deadlines. It may fire early: then it is set anew, which is cheaper than once a request.
    timer: Option<Pin<Box<Sleep>>>,
    closing: Option<Closing>,
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

/// The sending side is shut down.
#[derive(Debug)]
struct Closing {
    deadline: Instant,
    bytes_left: usize,
    /// Nothing that was sent is unread.
    clean: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// To be called when the connection was accepted, within a tokio runtime: the first head's time begins here.
    pub fn new(socket: S, limits: Limits, exchange: Arc<Exchange>) -> Self {
        Self {
            socket,
            limits,
            exchange,
            framing: Framing::new(limits),
            input: BytesMut::new(),
            line: Line::EMPTY,
            pass: 0,
            body_refused: false,
            waiting: Waiting::FirstHead(Instant::now() + limits.header_timeout),
            write_deadline: None,
            timer: None,
            closing: None,
        }
    }

    /// Whether all of a message, or of a refusal's stand-in, is with hyper.
    fn is_at_end(&self) -> bool {
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
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = match self.framing.wants_head() {
            true => HEAD_READ_BYTES,
            false => BODY_READ_BYTES,
        };
        if self.input.is_empty() && self.input.capacity() > BODY_READ_BYTES {
            // Grown for a long head: not to be kept for as long as the connection lasts.
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

    /// Does what the framing says. `false`: it needs more bytes.
    fn take(&mut self, step: Step) -> io::Result<bool> {
        match step {
            Step::More => return Ok(false),
            Step::Head { bytes } => {
                self.begin(None);
                self.pass = bytes;
            }
            Step::Chunk { line, bytes } => (self.line, self.pass) = (line, bytes),
            Step::End { line } => self.line = line,
            Step::Refuse { refusal, stand_in } => {
                self.begin(Some(refusal));
                self.input.clear();
                self.input.extend_from_slice(stand_in);
                self.pass = stand_in.len() as u64;
            }
            Step::RefuseBody(refusal) => {
                self.exchange.refuse_body(refusal);
                self.body_refused = true;
            }
            Step::Over => {}
        }
        Ok(true)
    }

    /// Nothing has arrived. Ready: the time is up, or the connection is to end; with what is to be done, if anything.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        if !self.framing.wants_head() {
            return Poll::Pending;
        }
        let idle = self.framing.is_between_messages();
        if idle && self.exchange.closes_when_idle() {
            return Poll::Ready(None);
        }
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
        if !elapsed(&mut self.timer, cx, deadline) {
            return Poll::Pending;
        }
        if idle {
            self.exchange.closing(reason);
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.framing.time_out(&self.input)))
    }

    /// Watches over a write: it may be pending for so long, and no longer.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.write_deadline = None;
            return write;
        }
        let timeout = self.limits.write_timeout;
        let deadline = *self
            .write_deadline
            .get_or_insert_with(|| Instant::now() + timeout);
        if !elapsed(&mut self.timer, cx, deadline) {
            return Poll::Pending;
        }
        self.exchange.closing(CloseReason::WriteTimeout);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Whether the deadline has passed. If not, the task is woken then, or earlier.
fn elapsed(timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>, deadline: Instant) -> bool {
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
        let before = buf.filled().len();
        loop {
            this.put(buf);
            let some = buf.filled().len() > before;
            // Where a message ends, hyper must ask again before it gets anything of the next.
            if buf.remaining() == 0 || (some && (this.pass > 0 || this.is_at_end())) {
                return Poll::Ready(Ok(()));
            }
            if this.pass > 0 {
                return this.poll_pass(cx, buf);
            }
            let step = this.framing.step(&mut this.input);
            if step == Step::Over && !some {
                return Poll::Ready(match this.body_refused {
                    true => Err(io::ErrorKind::InvalidData.into()),
                    false => Ok(()),
                });
            }
            if step == Step::Over || (step == Step::More && some) {
                return Poll::Ready(Ok(()));
            }
            if this.take(step)? {
                continue;
            }
            let next = match this.poll_fill(cx) {
                Poll::Ready(Ok(0)) => this.framing.end(&this.input),
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(this.poll_wait(cx)),
            };
            match next {
                Some(step) => this.take(step)?,
                None => return Poll::Ready(Ok(())),
            };
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.watch(cx, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.watch(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flush = Pin::new(&mut this.socket).poll_flush(cx);
        this.watch(cx, flush)
    }

    /// Shuts down the sending side. If the client has sent what nobody has read, this goes on to read and discard it
    /// for a while: closing at once would reset the connection, and could take the answer away from the client.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            let shutdown = Pin::new(&mut this.socket).poll_shutdown(cx);
            ready!(this.watch(cx, shutdown))?;
            let between = this.is_at_end() && this.framing.is_between_messages();
            this.closing = Some(Closing {
                deadline: Instant::now() + LINGER,
                bytes_left: LINGER_BYTES,
                clean: between && this.input.is_empty(),
            });
        }
        loop {
            this.input.clear();
            let read = this.poll_fill(cx);
            let Some(closing) = &mut this.closing else {
                return Poll::Ready(Ok(()));
            };
            match read {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(count)) => {
                    closing.clean = false;
                    closing.bytes_left = closing.bytes_left.saturating_sub(count);
                    if closing.bytes_left == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending if closing.clean => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    return match elapsed(&mut this.timer, cx, closing.deadline) {
                        true => Poll::Ready(Ok(())),
                        false => Poll::Pending,
                    };
                }
            }
        }
    }
}
