//! Splits a connection's bytes into messages and decides what happens to them. No socket, no clock.

use bytes::{Buf, BytesMut};
use hyper::StatusCode;

use super::chunked;
use super::framing_headers::BodyLength;
use super::head;
use super::size_line::SizeLine;
use super::{Fault, Limits, Refusal};

/// Replaces a refused head for hyper: a valid request without a body that asks to close.
const PLACEHOLDER: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// The same for HEAD, whose response must not have a body.
const PLACEHOLDER_FOR_HEAD: &[u8] =
    b"HEAD / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The message that is being read, between the client's bytes and hyper's.
#[derive(Debug)]
pub(super) struct Framing {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(head::Scan),
    Chunked {
        scan: chunked::Scan,
        /// Whether a chunk has been forwarded.
        has_chunks: bool,
    },
    Refused,
}

/// The next step for the caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Read more bytes.
    ReadMore,
    /// The head is valid: forward it, and so many bytes of the body, unchanged.
    ForwardMessage { head_bytes: usize, body_bytes: u64 },
    /// Forward the size line, then so many bytes unchanged.
    ForwardChunk { size_line: SizeLine, bytes: u64 },
    /// The body is complete: forward the last size line.
    EndBody { size_line: SizeLine },
    /// The head is refused: forward the placeholder instead.
    RefuseHead {
        refusal: Refusal,
        placeholder: &'static [u8],
    },
    /// The framing of the current body is refused.
    RefuseBody(Refusal),
    /// Nothing: a message was refused before, and none follows.
    Stop,
}

impl Framing {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head(head::Scan::default()),
        }
    }

    /// Whether the last message is complete and no byte of another has arrived.
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(&self.state, State::Head(scan) if !scan.has_begun())
    }

    /// Whether the next bytes belong to a head rather than to a body.
    pub(super) fn is_reading_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    /// Reads what has arrived, and removes from the input what hyper does not need.
    ///
    /// Before the next call the caller must remove all bytes that [`Action::ForwardMessage`] and [`Action::ForwardChunk`]
    /// forward, including those that have not arrived yet.
    pub(super) fn next_action(&mut self, input: &mut BytesMut) -> Action {
        match &mut self.state {
            State::Head(scan) => match next_head(scan, input, &self.limits) {
                Ok(None) => Action::ReadMore,
                Ok(Some(head)) => {
                    let (state, body_bytes) = match head.body {
                        BodyLength::Known(bytes) => (State::Head(head::Scan::default()), bytes),
                        BodyLength::Chunked => {
                            let (scan, has_chunks) = (chunked::Scan::default(), false);
                            (State::Chunked { scan, has_chunks }, 0)
                        }
                    };
                    self.state = state;
                    Action::ForwardMessage {
                        head_bytes: head.bytes,
                        body_bytes,
                    }
                }
                Err(fault) => self.refuse_head(fault, input),
            },
            State::Chunked { scan, has_chunks } => match scan.scan(input, &self.limits) {
                Ok((consumed, found)) => {
                    input.advance(consumed);
                    match found {
                        chunked::Found::More => Action::ReadMore,
                        chunked::Found::Chunk(bytes) => {
                            let size_line = SizeLine::new(*has_chunks, bytes);
                            *has_chunks = true;
                            Action::ForwardChunk { size_line, bytes }
                        }
                        chunked::Found::End => {
                            let size_line = SizeLine::last(*has_chunks);
                            self.state = State::Head(head::Scan::default());
                            Action::EndBody { size_line }
                        }
                    }
                }
                Err(fault) => self.refuse_body(fault),
            },
            State::Refused => Action::Stop,
        }
    }

    /// The client has shut down its sending side. `None`: between two messages, or within a body.
    pub(super) fn end_of_input(&mut self, input: &BytesMut) -> Option<Action> {
        let is_within_head = self.is_reading_head() && !self.is_between_messages();
        is_within_head.then(|| {
            self.refuse_incomplete_head(Fault::bad_request("the head is incomplete"), input)
        })
    }

    /// The head takes too long.
    pub(super) fn time_out(&mut self, input: &BytesMut) -> Action {
        let fault = Fault::new(StatusCode::REQUEST_TIMEOUT, "the head took too long");
        self.refuse_incomplete_head(fault, input)
    }

    /// Refuses the request that is being read, to free its memory. `unforwarded`: the bytes of it that hyper has yet to
    /// get. `None`: no request is being read.
    pub(super) fn refuse_for_memory(
        &mut self,
        input: &BytesMut,
        unforwarded: u64,
    ) -> Option<Action> {
        let fault = Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are held in memory",
        );
        match self.state {
            State::Head(_) if unforwarded > 0 => Some(self.refuse_body(fault)),
            State::Head(_) if self.is_between_messages() => None,
            State::Head(_) => Some(self.refuse_incomplete_head(fault, input)),
            State::Chunked { .. } => Some(self.refuse_body(fault)),
            State::Refused => None,
        }
    }

    fn refuse_body(&mut self, fault: Fault) -> Action {
        self.state = State::Refused;
        Action::RefuseBody(Refusal {
            status: fault.status,
            reason: fault.reason,
            request: None,
        })
    }

    /// Refuses a head that is not complete. It is not recorded.
    fn refuse_incomplete_head(&mut self, fault: Fault, input: &BytesMut) -> Action {
        let mut action = self.refuse_head(fault, input);
        if let Action::RefuseHead { refusal, .. } = &mut action {
            refusal.request = None;
        }
        action
    }

    fn refuse_head(&mut self, fault: Fault, input: &[u8]) -> Action {
        let State::Head(scan) = std::mem::replace(&mut self.state, State::Refused) else {
            return Action::Stop;
        };
        // A head that is too long is never complete, even if its request line is.
        let is_too_long = fault.status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let request = match is_too_long {
            true => None,
            false => scan.refused_request(input),
        };
        Action::RefuseHead {
            refusal: Refusal {
                status: fault.status,
                reason: fault.reason,
                request,
            },
            placeholder: match scan.is_method_head(input) {
                true => PLACEHOLDER_FOR_HEAD,
                false => PLACEHOLDER,
            },
        }
    }
}

fn next_head(
    scan: &mut head::Scan,
    input: &mut BytesMut,
    limits: &Limits,
) -> Result<Option<head::CompleteHead>, Fault> {
    if !scan.has_begun() {
        let bytes = scan.skip_empty_lines(input, limits)?;
        input.advance(bytes);
        if !scan.has_begun() {
            return Ok(None);
        }
    }
    scan.scan(input, limits)
}
