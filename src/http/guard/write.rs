//! The guard's sending side, and how it closes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::CloseReason;
use super::stream::{Guard, elapsed};

/// How long a client that is still sending may take to read its answer before the connection is cut.
const LINGER: Duration = Duration::from_secs(2);
/// How much of what it sends is discarded meanwhile.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// The sending side is shut down.
#[derive(Debug)]
pub(super) struct Closing {
    since: Instant,
    bytes_left: usize,
    /// Nothing that was sent is unread.
    clean: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
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
                since: Instant::now(),
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
                // Asked once more after its end (see `drive`), it ends at once.
                Poll::Pending if closing.clean || closing.bytes_left == 0 => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {
                    let deadline = closing.since + LINGER;
                    let deadline = match this.exchange.told_to_close() {
                        // Its request is answered: it shall not use up what open requests have of the grace period.
                        Some(told) => {
                            deadline.min(told.max(closing.since) + this.limits.closing_timeout)
                        }
                        None => deadline,
                    };
                    return match elapsed(&mut this.timer, cx, deadline) {
                        true => Poll::Ready(Ok(())),
                        false => Poll::Pending,
                    };
                }
            }
        }
    }
}
