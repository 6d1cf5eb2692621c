//! [`RequestBody`]: what the layers, the extractors and the recorder share of a request's body.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Incoming};

use super::handler_body::HandlerBody;
use super::state::{Form, ReadError, State};
use super::{Bodies, BodyError};

/// How long a write waits for the end of a chunked body whose last byte has been read.
const CHUNKED_END_TIMEOUT: Duration = Duration::from_secs(1);

/// The body of one request, which its layers, its handler and the recorder share. `None` without a body.
#[derive(Clone, Default)]
pub(crate) struct RequestBody(Option<Arc<Shared>>);

pub(super) struct Shared {
    bodies: Arc<Bodies>,
    state: Mutex<State>,
}

impl RequestBody {
    /// A body that nobody has read, and what the router gets of it.
    pub fn new(incoming: Incoming, bodies: &Arc<Bodies>) -> (Self, Body) {
        if incoming.is_end_stream() {
            return (Self::default(), Body::empty());
        }
        let shared = Arc::new(Shared {
            bodies: bodies.clone(),
            state: Mutex::new(State::new(incoming, bodies)),
        });
        let body = Body::new(HandlerBody::new(shared.clone()));
        (Self(Some(shared)), body)
    }

    /// Sets the route's own form. It has no effect once the body is being read.
    pub fn set_form(&self, form: Form) {
        if let Some(shared) = &self.0 {
            shared.state().set_form(form);
        }
    }

    /// Waits for all of a whole body. Of a streamed one, it only checks the announced length.
    pub async fn arrive(&self) -> Result<(), BodyError> {
        let Some(shared) = &self.0 else { return Ok(()) };
        poll_fn(|cx| {
            let state = &mut *shared.state();
            state.begin(&shared.bodies);
            match state.form() {
                Form::Whole { .. } => state.poll_whole(&shared.bodies, cx),
                Form::Streamed { .. } => Poll::Ready(()),
            }
        })
        .await;
        self.failure().map_or(Ok(()), Err)
    }

    /// Ends reading after the handler has returned: reads the rest of a whole body, and cuts off a streamed one.
    pub async fn finish(&self) {
        let Some(shared) = &self.0 else { return };
        poll_fn(|cx| {
            let state = &mut *shared.state();
            if let (Form::Streamed { .. }, None) = (state.form(), state.result) {
                state.begin(&shared.bodies);
                state.end(Err(ReadError::CutOff));
            }
            state.poll_whole(&shared.bodies, cx)
        })
        .await;
    }

    /// Whether the body was read to its end. Waits for the end of a chunked body, which may arrive after its last byte.
    pub async fn is_read_to_its_end(&self) -> bool {
        let Some(shared) = &self.0 else { return true };
        let end = poll_fn(|cx| shared.state().poll_chunked_end(&shared.bodies, cx));
        // Without it, a multipart body in chunks would never have ended when its last field has.
        let _ = tokio::time::timeout(CHUNKED_END_TIMEOUT, end).await;
        self.is_complete()
    }

    pub fn is_complete(&self) -> bool {
        match &self.0 {
            Some(shared) => shared.state().result == Some(Ok(())),
            None => true,
        }
    }

    /// Why the body could not be read, if it could not.
    pub fn failure(&self) -> Option<BodyError> {
        match self.0.as_ref()?.state().result {
            Some(Err(ReadError::Failed(error))) => Some(error),
            _ => None,
        }
    }

    pub fn bytes_read(&self) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |shared| shared.state().bytes_read)
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next data of a streamed body, or the end of reading a whole one. `None`: look at the state.
    pub(super) fn poll_handler(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let state = &mut *self.state();
        state.begin(&self.bodies);
        match state.form() {
            Form::Whole { .. } => state.poll_whole(&self.bodies, cx).map(|()| None),
            Form::Streamed { .. } => state.poll_streamed(&self.bodies, cx),
        }
    }
}
