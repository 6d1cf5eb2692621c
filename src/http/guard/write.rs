//! The writing side of the guarded socket, and how it closes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::linger::Linger;
use super::stream::Guard;
use crate::closed::CloseReason;

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// Fails a write that stays pending for [`write_timeout`](super::Limits::write_timeout).
    fn apply_write_timeout<T>(
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
        if !self.timer.has_passed(deadline, cx) {
            return Poll::Pending;
        }
        self.connection_state
            .set_close_reason(CloseReason::WriteTimeout);
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
        this.apply_write_timeout(cx, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.apply_write_timeout(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flush = Pin::new(&mut this.socket).poll_flush(cx);
        this.apply_write_timeout(cx, flush)
    }

    /// Shuts down the sending side. If bytes from the client are unread, it then lingers: see [`Linger`].
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            let shutdown = Pin::new(&mut this.socket).poll_shutdown(cx);
            ready!(this.apply_write_timeout(cx, shutdown))?;
            let has_unread = !this.is_message_forwarded() || !this.input.is_empty();
            this.linger = Some(Linger::start(has_unread));
        }
        loop {
            this.input.clear();
            let read = this.poll_fill_input(cx);
            let Some(linger) = &mut this.linger else {
                return Poll::Ready(Ok(()));
            };
            match read {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(bytes)) => {
                    if linger.discard(bytes) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending if linger.is_over() => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    let closing_since = this.connection_state.closing_since();
                    let deadline = linger.deadline(closing_since, this.limits.closing_timeout);
                    return match this.timer.has_passed(deadline, cx) {
                        true => Poll::Ready(Ok(())),
                        false => Poll::Pending,
                    };
                }
            }
        }
    }
}
