//! Reads a request's body, at its first poll or when the recorder asks.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use super::budget::Reservation;
use super::disk::{DiskBody, DiskBuffer};
use super::handler_body::HandlerBody;
use super::memory::MemoryBuffer;
use super::{Bodies, BodyError};
use crate::http::timer::Timer;

/// How long a write waits for the end of a chunked body whose last byte has been read.
const CHUNKED_END_TIMEOUT: Duration = Duration::from_secs(1);

/// How the handler gets the body, and the most bytes that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All of it, once the last byte has arrived.
    Whole { bytes_max: u64 },
    /// As it arrives.
    Streamed { bytes_max: u64 },
}

/// The body of one request, which its layers, its handler and the recorder share. `None` without a body.
#[derive(Clone, Default)]
pub(crate) struct RequestBody(Option<Arc<Shared>>);

pub(super) struct Shared {
    bodies: Arc<Bodies>,
    state: Mutex<State>,
}

pub(super) struct State {
    form: Form,
    /// `None` at the body's end, and after a failure.
    incoming: Option<Incoming>,
    has_begun: bool,
    /// The Content-Length.
    announced: Option<u64>,
    bytes_read: u64,
    idle_deadline: Option<Instant>,
    timer: Timer,
    /// Whether the handler may still ask for a whole body's data.
    is_wanted: bool,
    buffer: Buffer,
    pub result: Option<Result<(), ReadError>>,
    /// A whole body that the handler has not taken.
    pub whole: Option<WholeBody>,
    /// Of a whole body in memory. Kept until the response is ready: see [`MemoryBuffer::finish`].
    _reservation: Option<Arc<Reservation>>,
    /// Data of a streamed body that was read to look for its end.
    unread: Option<Bytes>,
    /// The tasks that wait for the result, the last one to poll excepted. A handler may move the body to another task.
    waiting: Vec<Waker>,
    last_waiting: Option<Waker>,
}

/// Where a whole body's data goes.
enum Buffer {
    Memory(MemoryBuffer),
    Disk(DiskBuffer),
    /// The handler does not want it.
    Discard,
}

/// A whole body.
pub(super) enum WholeBody {
    Memory(Bytes),
    Disk(DiskBody),
}

/// Why the handler gets no more of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Failed(BodyError),
    #[error("the response was ready before the streamed body's end")]
    CutOff,
}

impl RequestBody {
    /// A body that nobody has read, and what the router gets of it.
    pub fn new(incoming: Incoming, bodies: &Arc<Bodies>) -> (Self, Body) {
        if incoming.is_end_stream() {
            return (Self::default(), Body::empty());
        }
        let announced = incoming.size_hint().exact();
        let shared = Arc::new(Shared {
            bodies: bodies.clone(),
            state: Mutex::new(State {
                form: Form::Whole {
                    bytes_max: bodies.memory_bytes_max,
                },
                incoming: Some(incoming),
                has_begun: false,
                announced,
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
            }),
        });
        let body = Body::new(HandlerBody::new(shared.clone()));
        (Self(Some(shared)), body)
    }

    /// Sets the route's own form. It has no effect once the body is being read.
    pub fn set_form(&self, form: Form) {
        if let Some(shared) = &self.0 {
            let mut state = shared.state();
            if !state.has_begun {
                state.form = form;
            }
        }
    }

    /// Waits for all of a whole body. Of a streamed one, it only checks the announced length.
    pub async fn arrive(&self) -> Result<(), BodyError> {
        let Some(shared) = &self.0 else { return Ok(()) };
        poll_fn(|cx| {
            let state = &mut *shared.state();
            state.begin(&shared.bodies);
            match state.form {
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
            if let (Form::Streamed { .. }, None) = (state.form, state.result) {
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
        match state.form {
            Form::Whole { .. } => state.poll_whole(&self.bodies, cx).map(|()| None),
            Form::Streamed { .. } => state.poll_streamed(&self.bodies, cx),
        }
    }
}

impl State {
    /// Applies the route's limit to the announced length, before hyper sends `100 Continue` at the first poll.
    fn begin(&mut self, bodies: &Bodies) {
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
            self.buffer = match self.announced {
                Some(length) if length > bodies.memory_bytes_max => {
                    Buffer::Disk(bodies.disk_buffer())
                }
                _ => Buffer::Memory(bodies.memory_buffer(self.announced.unwrap_or(bytes_max))),
            };
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
    fn poll_whole(&mut self, bodies: &Bodies, cx: &mut Context<'_>) -> Poll<()> {
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
        if let Buffer::Disk(buffer) = &mut self.buffer {
            ready!(buffer.poll_write(cx))?;
        }
        if let Some(data) = ready!(self.poll_data(bodies, cx))? {
            return Poll::Ready(self.store(data, bodies));
        }
        if let Buffer::Disk(buffer) = &mut self.buffer {
            ready!(buffer.poll_finish(cx))?;
        }
        match std::mem::replace(&mut self.buffer, Buffer::Discard) {
            Buffer::Memory(buffer) => {
                let (bytes, reservation) = buffer.finish();
                self.whole = Some(WholeBody::Memory(bytes));
                self._reservation = Some(reservation);
            }
            Buffer::Disk(buffer) => self.whole = Some(WholeBody::Disk(buffer.into_body()?)),
            Buffer::Discard => {}
        }
        self.end(Ok(()));
        Poll::Ready(Ok(()))
    }

    fn store(&mut self, data: Bytes, bodies: &Bodies) -> Result<(), BodyError> {
        match &mut self.buffer {
            Buffer::Memory(buffer) => {
                let length = buffer.len() as u64 + data.len() as u64;
                if length <= bodies.memory_bytes_max {
                    return buffer.add(&data);
                }
                // A chunked body that no longer fits.
                let mut disk = bodies.disk_buffer();
                if let Buffer::Memory(buffer) = std::mem::replace(&mut self.buffer, Buffer::Discard)
                {
                    disk.add(buffer.finish().0)?;
                }
                disk.add(data)?;
                self.buffer = Buffer::Disk(disk);
                Ok(())
            }
            Buffer::Disk(buffer) => buffer.add(data),
            Buffer::Discard => Ok(()),
        }
    }

    /// The next data of a streamed body. `None`: there is a result.
    fn poll_streamed(&mut self, bodies: &Bodies, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
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
    fn poll_chunked_end(&mut self, bodies: &Bodies, cx: &mut Context<'_>) -> Poll<()> {
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
    fn end(&mut self, result: Result<(), ReadError>) {
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

impl WholeBody {
    /// The next part; `None` at the end.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Memory(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Disk(body) => body.poll_data(cx),
        }
    }
}

impl Bodies {
    fn memory_buffer(&self, length_max: u64) -> MemoryBuffer {
        let capacity_max = length_max.min(self.memory_bytes_max);
        let capacity_max = usize::try_from(capacity_max).unwrap_or(usize::MAX);
        MemoryBuffer::new(self.memory.clone(), capacity_max)
    }

    fn disk_buffer(&self) -> DiskBuffer {
        DiskBuffer::create(self.directory.clone(), self.disk.clone())
    }
}
