//! An answer whose end nobody knows, such as an event stream, ends with the server.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use axum::http::header::CONTENT_LENGTH;
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;

use crate::shutdown::{Phase, reached};

/// Lets an answer pass as it is if its length is known, by its body or by its `content-length`. Any other ends, in order,
/// at [`Phase::Closing`]: it could go on for ever, and an open event stream must not delay a shutdown.
pub fn end_when_closing(
    response: Response<Body>,
    phase: &watch::Receiver<Phase>,
) -> Response<Body> {
    let says_length = response.headers().contains_key(CONTENT_LENGTH);
    if says_length || response.body().size_hint().exact().is_some() {
        return response;
    }
    let mut phase = phase.clone();
    response.map(|body| {
        Body::new(Streamed {
            body,
            closing: Some(Box::pin(async move {
                reached(&mut phase, Phase::Closing).await;
            })),
        })
    })
}

struct Streamed {
    body: Body,
    /// None once it has come.
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        // First, for a stream may never have nothing to send.
        if let Some(closing) = &mut this.closing
            && closing.as_mut().poll(context).is_ready()
        {
            this.closing = None;
            this.body = Body::empty();
        }
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.closing {
            // It may be cut short: no lower bound is sure.
            Some(_) => SizeHint::default(),
            None => self.body.size_hint(),
        }
    }
}
