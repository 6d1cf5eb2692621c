//! The reading side of the guarded socket, and its timeouts.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Refusal;
use super::framing::Action;
use super::stream::{Guard, HeadDeadline};
use crate::closed::CloseReason;

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection_state.is_upgraded() {
            return this.poll_upgraded(cx, buf);
        }
        if this.head_memory.take_eviction() {
            match this
                .framing
                .refuse_for_memory(&this.input, this.unforwarded)
            {
                Some(action) => this.apply(action),
                None => {
                    this.connection_state.set_close_reason(CloseReason::Memory);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let read = this.poll_message(cx, buf);
        match read {
            Poll::Ready(_) => this.head_memory.set_busy(),
            Poll::Pending => {
                let is_within_head =
                    this.framing.is_reading_head() && !this.framing.is_between_messages();
                let head_bytes = is_within_head.then(|| this.input.capacity());
                this.head_memory.set_waiting(head_bytes, cx.waker());
            }
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// Reads from a socket that belongs to another protocol: first what arrived with the request, then all that follows,
    /// until the connection closes.
    fn poll_upgraded(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection_state.closing_since().is_some() {
            return Poll::Ready(Ok(()));
        }
        if !self.input.is_empty() {
            let count = self.input.len().min(buf.remaining());
            buf.put_slice(&self.input.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if read.is_pending() {
            self.connection_state.wake_on_close(cx.waker());
        }
        read
    }

    /// Reads checked bytes of the current message.
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            self.forward_buffered(buf);
            let has_read = buf.filled().len() > before;
            // At the end of a message hyper must poll again before it gets a byte of the next one.
            if buf.remaining() == 0
                || (has_read && (self.unforwarded > 0 || self.is_message_forwarded()))
            {
                return Poll::Ready(Ok(()));
            }
            if self.unforwarded > 0 {
                return self.poll_forward(cx, buf);
            }
            match self.framing.next_action(&mut self.input) {
                Action::ReadMore | Action::Stop if has_read => return Poll::Ready(Ok(())),
                Action::Stop if self.is_body_refused => {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                Action::Stop => return Poll::Ready(Ok(())),
                Action::ReadMore => {}
                action => {
                    self.apply(action);
                    continue;
                }
            }
            let action = match self.poll_fill_input(cx) {
                Poll::Ready(Ok(0)) => self.framing.end_of_input(&self.input),
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(self.poll_timeout(cx)),
            };
            match action {
                Some(action) => self.apply(action),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Copies what is already here into hyper's buffer.
    fn forward_buffered(&mut self, buf: &mut ReadBuf<'_>) {
        let line = self.size_line.as_bytes();
        let count = line.len().min(buf.remaining());
        buf.put_slice(&line[..count]);
        self.size_line.advance(count);

        let unforwarded = usize::try_from(self.unforwarded).unwrap_or(usize::MAX);
        let count = unforwarded.min(self.input.len()).min(buf.remaining());
        buf.put_slice(&self.input[..count]);
        self.input.advance(count);
        self.unforwarded -= count as u64;
    }

    /// Reads bytes that need no check from the socket straight into hyper's buffer.
    fn poll_forward(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.unforwarded >= buf.remaining() as u64 {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        } else {
            // The cast cannot truncate: the number is below the buffer's size.
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(self.unforwarded as usize));
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
            let count = part.filled().len();
            buf.advance(count);
        }
        self.unforwarded -= (buf.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::ReadMore | Action::Stop => {}
            Action::ForwardMessage {
                head_bytes,
                body_bytes,
            } => {
                self.start_request(None);
                self.head_memory.head_forwarded(head_bytes);
                self.unforwarded = head_bytes as u64 + body_bytes;
            }
            Action::ForwardChunk { size_line, bytes } => {
                (self.size_line, self.unforwarded) = (size_line, bytes);
            }
            Action::EndBody { size_line } => self.size_line = size_line,
            Action::RefuseHead {
                refusal,
                placeholder,
            } => {
                self.start_request(Some(refusal));
                // A new buffer: the refused head may have grown the old one.
                self.input = BytesMut::from(placeholder);
                self.unforwarded = placeholder.len() as u64;
            }
            Action::RefuseBody(refusal) => {
                self.connection_state.refuse_body(refusal);
                self.is_body_refused = true;
                self.unforwarded = 0;
            }
        }
    }

    fn start_request(&mut self, refusal: Option<Refusal>) {
        self.head_deadline = HeadDeadline::Unset;
        self.connection_state.start_request(refusal);
    }

    /// Called when no input is available. `Ready` means that a timeout fired or the connection is closing. It holds the
    /// action to take; `None` ends the connection.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<Option<Action>> {
        if !self.framing.is_reading_head() {
            return Poll::Pending;
        }
        let is_idle = self.framing.is_between_messages();
        let (deadline, reason) = match self.head_deadline {
            HeadDeadline::FirstHead(deadline) | HeadDeadline::RestOfHead(deadline) => {
                (deadline, CloseReason::HeaderTimeout)
            }
            HeadDeadline::NextHead(deadline) if is_idle => (deadline, CloseReason::IdleTimeout),
            _ if is_idle => {
                let deadline = Instant::now() + self.limits.idle_timeout;
                self.head_deadline = HeadDeadline::NextHead(deadline);
                (deadline, CloseReason::IdleTimeout)
            }
            _ => {
                let deadline = Instant::now() + self.limits.header_timeout;
                self.head_deadline = HeadDeadline::RestOfHead(deadline);
                (deadline, CloseReason::HeaderTimeout)
            }
        };
        let closing_since = self.connection_state.closing_since();
        let deadline = match (closing_since, self.head_deadline) {
            (None, _) => deadline,
            (Some(_), HeadDeadline::NextHead(_)) => return Poll::Ready(None),
            (Some(since), _) => deadline.min(since + self.limits.closing_timeout),
        };
        if !self.timer.has_passed(deadline, cx) {
            return Poll::Pending;
        }
        if is_idle {
            if closing_since.is_none() {
                self.connection_state.set_close_reason(reason);
            }
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.framing.time_out(&self.input)))
    }
}
