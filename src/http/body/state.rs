//! The state of a request's body, and how it is read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use axum::body::Bytes;
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use super::budget::Reservation;
use super::buffer::{Buffer, WholeBody};
use super::{Bodies, BodyError};
use crate::http::timer::Timer;

/// How the handler gets the body, and the most bytes that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All of it, once the last byte has arrived.
    Whole { bytes_max: u64 },
    /// As it arrives.
    Streamed { bytes_max: u64 },
}

/// The progress of one body.
pub(super) struct State {
    form: Form,
    /// `None` at the body's end, and after a failure.
    incoming: Option<Incoming>,
    has_begun: bool,
    /// The Content-Length.
    announced: Option<u64>,
    pub bytes_read: u64,
    idle_deadline: Option<Instant>,
    timer: Timer,
    /// Whether the handler may still ask for a whole body's data.
    is_wanted: bool,
    buffer: Buffer,
    pub result: Option<Result<(), ReadError>>,
    /// A whole body that the handler has not taken.
    pub whole: Option<WholeBody>,
    /// Of a whole body in memory. Kept until the response is ready: see [`super::memory`].
    _reservation: Option<Arc<Reservation>>,
    /// Data of a streamed body that was read to look for its end.
    unread: Option<Bytes>,
    /// The tasks that wait for the result, the last one to poll excepted. A handler may move the body to another task.
    waiting: Vec<Waker>,
    last_waiting: Option<Waker>,
}

/// Why the handler gets no more of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Failed(BodyError),
    #[error("the response was ready before the streamed body's end")]
    CutOff,
}

impl State {
    pub fn new(incoming: Incoming, bodies: &Bodies) -> Self {
        Self {
            form: Form::Whole {
                bytes_max: bodies.memory_bytes_max,
            },
            announced: incoming.size_hint().exact(),
            incoming: Some(incoming),
            has_begun: false,
            bytes_read: 0,
            idle_deadline: None,
            timer: Timer::default(),
            is_wanted: true,
            buffer: Buffer::Discard,
            result: None,
            whole: None,
            _reservation: None,
            unread: None,
            waiting: Vec::new(),
            last_waiting: None,
        }
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// It has no effect once the body is being read.
    pub fn set_form(&mut self, form: Form) {
        if !self.has_begun {
            self.form = form;
        }
    }

    /// Applies the route's limit to the announced length, before hyper sends `100 Continue` at the first poll.
    pub fn begin(&mut self, bodies: &Bodies) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        if let Form::Whole { bytes_max } = &mut self.form {
            // A body that can never be stored gets 413, rather than 503 at each retry.
            *bytes_max = (*bytes_max).min(bodies.memory_bytes_max.max(bodies.disk_bytes_max));
        }
        let (Form::Whole { bytes_max } | Form::Streamed { bytes_max }) = self.form;
        if self.announced.is_some_and(|length| length > bytes_max) {
            self.end(Err(ReadError::Failed(BodyError::TooLarge)));
        } else if self.is_wanted && matches!(self.form, Form::Whole { .. }) {
            self.buffer = Buffer::new(self.announced, bytes_max, bodies);
        }
    }

    /// The client's next data within the limit; `None` at the end.
    fn poll_data(
        &mut self,
        bodies: &Bodies,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError>> {
        let (Form::Whole { bytes_max } | Form::Streamed { bytes_max }) = self.form;
        loop {
            let Some(incoming) = &mut self.incoming else {
                return Poll::Ready(Ok(None));
            };
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.idle_deadline = None;
                    // A body of known length ends here; hyper would say so later.
                    if incoming.is_end_stream() {
                        self.incoming = None;
                    }
                    // Drop trailers: the guard has checked them.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    self.bytes_read += data.len() as u64;
                    return Poll::Ready(match self.bytes_read <= bytes_max {
                        true => Ok(Some(data)),
                        false => Err(BodyError::TooLarge),
                    });
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyError::Broken)),
                Poll::Ready(None) => self.incoming = None,
                Poll::Pending => {
                    let deadline = *self
                        .idle_deadline
                        .get_or_insert_with(|| Instant::now() + bodies.idle_timeout);
                    return match self.timer.has_passed(deadline, cx) {
                        true => Poll::Ready(Err(BodyError::TimedOut)),
                        false => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Reads a whole body into its buffer; ready once there is a result.
    pub fn poll_whole(&mut self, bodies: &Bodies, cx: &mut Context<'_>) -> Poll<()> {
        self.begin(bodies);
        while self.result.is_none() {
            match self.poll_whole_step(bodies, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.end(Err(ReadError::Failed(error))),
                Poll::Pending => {
                    self.wait(cx);
                    return Poll::Pending;
                }
            }
        }
        self.wake_others(cx);
        Poll::Ready(())
    }

    fn poll_whole_step(
        &mut self,
        bodies: &Bodies,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BodyError>> {
        ready!(self.buffer.poll_write(cx))?;
        if let Some(data) = ready!(self.poll_data(bodies, cx))? {
            return Poll::Ready(self.buffer.add(data, bodies));
        }
        ready!(self.buffer.poll_finish(cx))?;
        let buffer = std::mem::replace(&mut self.buffer, Buffer::Discard);
        (self.whole, self._reservation) = buffer.into_whole()?;
        self.end(Ok(()));
        Poll::Ready(Ok(()))
    }

    /// The next data of a streamed body. `None`: there is a result.
    pub fn poll_streamed(&mut self, bodies: &Bodies, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(data) = self.unread.take() {
            return Poll::Ready(Some(data));
        }
        if self.result.is_some() {
            return Poll::Ready(None);
        }
        let data = match self.poll_data(bodies, cx) {
            Poll::Ready(data) => data,
            Poll::Pending => {
                self.wait(cx);
                return Poll::Pending;
            }
        };
        match &data {
            Err(error) => self.end(Err(ReadError::Failed(*error))),
            Ok(_) if self.incoming.is_none() => self.end(Ok(())),
            Ok(_) => {}
        }
        Poll::Ready(data.ok().flatten())
    }

    /// Ready unless the next thing that arrives may be the end of a streamed, chunked body.
    pub fn poll_chunked_end(&mut self, bodies: &Bodies, cx: &mut Context<'_>) -> Poll<()> {
        let is_streamed = matches!(self.form, Form::Streamed { .. }) && self.has_begun;
        let is_chunked = self
            .incoming
            .as_ref()
            .is_some_and(|incoming| incoming.size_hint().exact().is_none());
        if is_streamed && is_chunked && self.unread.is_none() {
            self.unread = ready!(self.poll_streamed(bodies, cx));
        }
        Poll::Ready(())
    }

    /// Ends reading. The first result stays.
    pub fn end(&mut self, result: Result<(), ReadError>) {
        if self.result.is_none() {
            self.result = Some(result);
            self.incoming = None;
            self.buffer = Buffer::Discard;
        }
    }

    /// Notes the task to wake at the end: hyper wakes only the last one that polled.
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.last_waiting {
            Some(last) if last.will_wake(cx.waker()) => {}
            last => self.waiting.extend(last.replace(cx.waker().clone())),
        }
    }

    /// Wakes the tasks that wait for the result, which there is.
    fn wake_others(&mut self, cx: &Context<'_>) {
        let waiting = self.waiting.drain(..).chain(self.last_waiting.take());
        for waker in waiting.filter(|waker| !waker.will_wake(cx.waker())) {
            waker.wake();
        }
    }

    /// The handler has dropped the body.
    pub fn drop_data(&mut self) {
        self.is_wanted = false;
        self.whole = None;
        self.buffer = Buffer::Discard;
    }

    /// The length of the whole body, if it is known.
    pub fn length(&self) -> Option<u64> {
        match self.result {
            Some(Ok(())) => Some(self.bytes_read),
            _ => self.announced,
        }
    }
}
