//! The body that an extractor reads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::buffer::WholeBody;
use super::request_body::Shared;
use super::state::ReadError;

/// The request's body within the router. Its first poll reads a whole body to its end before it returns any data.
pub(super) struct HandlerBody {
    shared: Arc<Shared>,
    whole: Option<WholeBody>,
    bytes_returned: u64,
    has_ended: bool,
}

impl HandlerBody {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            whole: None,
            bytes_returned: 0,
            has_ended: false,
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        if self.whole.is_none() {
            if let Some(data) = ready!(self.shared.poll_handler(cx)) {
                return Poll::Ready(Some(Ok(data)));
            }
            let mut state = self.shared.state();
            if let Some(Err(error)) = state.result {
                return Poll::Ready(Some(Err(error)));
            }
            self.whole = state.whole.take();
        }
        match &mut self.whole {
            Some(whole) => whole
                .poll_data(cx)
                .map(|data| data.map(|data| data.map_err(ReadError::Failed))),
            None => Poll::Ready(None),
        }
    }
}

impl HttpBody for HandlerBody {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        let data = ready!(this.poll_data(cx));
        match &data {
            Some(Ok(data)) => this.bytes_returned += data.len() as u64,
            Some(Err(_)) | None => this.has_ended = true,
        }
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.shared.state().length();
        length.map_or_else(SizeHint::default, |length| {
            SizeHint::with_exact(length.saturating_sub(self.bytes_returned))
        })
    }
}

impl Drop for HandlerBody {
    fn drop(&mut self) {
        self.shared.state().drop_data();
    }
}
