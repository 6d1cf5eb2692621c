//! Ends responses of unknown length, such as event streams, when the server shuts down.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use axum::http::header::CONTENT_LENGTH;
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;

use crate::shutdown::{Phase, reached};

/// Frames that a body may still send at the end, if they are ready: an event stream that ends itself at the stop has a
/// last event. A body that always has more ends here.
const LAST_FRAMES: u32 = 16;

/// Ends the body at [`Phase::Closing`] with a valid last chunk, unless the response has a known length, from its body or
/// its `content-length`. A body of unknown length may be endless, and an open event stream must not delay a shutdown.
pub fn end_when_closing(
    response: Response<Body>,
    phase: &watch::Receiver<Phase>,
) -> Response<Body> {
    let has_content_length = response.headers().contains_key(CONTENT_LENGTH);
    if has_content_length || response.body().size_hint().exact().is_some() {
        return response;
    }
    let mut phase = phase.clone();
    response.map(|body| {
        Body::new(EndedWhenClosing {
            body,
            closing: Some(Box::pin(async move {
                reached(&mut phase, Phase::Closing).await;
            })),
            last_frames: LAST_FRAMES,
        })
    })
}

struct EndedWhenClosing {
    body: Body,
    /// Completes at [`Phase::Closing`]; then None.
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// How many frames may follow then.
    last_frames: u32,
}

impl HttpBody for EndedWhenClosing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        // Polled first: a stream may always have more to send.
        if let Some(closing) = &mut this.closing
            && closing.as_mut().poll(context).is_ready()
        {
            this.closing = None;
        }
        if this.closing.is_some() {
            return Pin::new(&mut this.body).poll_frame(context);
        }
        if this.last_frames > 0
            && let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context)
        {
            this.last_frames -= 1;
            return Poll::Ready(frame);
        }
        this.body = Body::empty();
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // The body may end early, so there is no lower bound.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::{self, Stream};

    use super::*;
    use crate::shutdown::Shutdown;

    async fn sent_at_the_stop(
        stream: impl Stream<Item = Result<&'static str, Infallible>> + Send + 'static,
    ) -> Bytes {
        let shutdown = Shutdown::new();
        shutdown.enter(Phase::Closing);
        let response = Response::new(Body::from_stream(stream));
        let body = end_when_closing(response, &shutdown.watch()).into_body();
        let sent = axum::body::to_bytes(body, usize::MAX).await;
        sent.expect("an orderly end")
    }

    #[tokio::test]
    async fn at_the_stop_a_stream_may_end_itself_and_an_endless_one_is_cut() {
        let last = stream::iter([Ok("the last event")]);
        assert_eq!(sent_at_the_stop(last).await, "the last event");
        let endless = stream::repeat_with(|| Ok("x"));
        assert_eq!(sent_at_the_stop(endless).await, "x".repeat(16));
        assert_eq!(sent_at_the_stop(stream::pending()).await, "");
    }
}
