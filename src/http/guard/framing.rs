//! One message after another: what is to be done with the bytes of a connection. No socket, no clock.

use bytes::{Buf, BytesMut};
use hyper::StatusCode;

use super::chunked;
use super::framing_headers::Body;
use super::head;
use super::{Fault, Limits, Refusal};

/// What hyper gets in place of a refused head: it is well formed, has no body and asks to close.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// The same where an answer must not have a body.
const STAND_IN_FOR_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The state between a client's bytes and hyper's.
#[derive(Debug)]
pub(super) struct Framing {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(head::Scan),
    Chunked { scan: chunked::Scan, begun: bool },
    Refused,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before more bytes have arrived.
    More,
    /// A head has passed: its bytes and so many of the body go to hyper as they are.
    Head { head: usize, body: u64 },
    /// So many bytes go to hyper as they are, behind the line.
    Chunk { line: Line, bytes: u64 },
    /// The body is complete. The line goes to hyper.
    End { line: Line },
    /// The head is refused. hyper gets the stand-in.
    Refuse {
        refusal: Refusal,
        stand_in: &'static [u8],
    },
    /// The current body's framing is refused.
    RefuseBody(Refusal),
    /// Something was refused; nothing follows.
    Over,
}

impl Framing {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Head(head::Scan::default()),
        }
    }

    /// Whether the last message is complete and nothing of another has been seen.
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(&self.state, State::Head(scan) if scan.is_blank())
    }

    /// Whether bytes are wanted for a head, rather than for a body.
    pub(super) fn wants_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    /// Looks at what has arrived. What is of no use to hyper is taken out of the input.
    ///
    /// The bytes that [`Step::Head`] and [`Step::Chunk`] let pass must be taken out before the next call, also those
    /// that have yet to arrive.
    pub(super) fn step(&mut self, input: &mut BytesMut) -> Step {
        match &mut self.state {
            State::Head(scan) => match next_head(scan, input, &self.limits) {
                Ok(None) => Step::More,
                Ok(Some(passed)) => {
                    let (state, body) = match passed.body {
                        Body::Length(length) => (State::Head(head::Scan::default()), length),
                        Body::Chunked => {
                            let scan = chunked::Scan::default();
                            (State::Chunked { scan, begun: false }, 0)
                        }
                    };
                    self.state = state;
                    Step::Head {
                        head: passed.bytes,
                        body,
                    }
                }
                Err(fault) => self.refuse(fault, input),
            },
            State::Chunked { scan, begun } => match scan.scan(input, &self.limits) {
                Ok((seen, found)) => {
                    input.advance(seen);
                    match found {
                        chunked::Found::More => Step::More,
                        chunked::Found::Chunk(bytes) => {
                            let line = Line::new(*begun, bytes);
                            *begun = true;
                            Step::Chunk { line, bytes }
                        }
                        chunked::Found::End => {
                            let line = Line::last(*begun);
                            self.state = State::Head(head::Scan::default());
                            Step::End { line }
                        }
                    }
                }
                Err(fault) => self.refuse_body(fault),
            },
            State::Refused => Step::Over,
        }
    }

    /// The client has ended its side. `None`: between two messages, or within a body.
    pub(super) fn end(&mut self, input: &BytesMut) -> Option<Step> {
        let open = self.wants_head() && !self.is_between_messages();
        open.then(|| self.abandon(Fault::bad("the head was never complete"), input))
    }

    /// The head takes too long.
    pub(super) fn time_out(&mut self, input: &BytesMut) -> Step {
        let fault = Fault::new(StatusCode::REQUEST_TIMEOUT, "the head took too long");
        self.abandon(fault, input)
    }

    /// The request that is being read gives its memory to others; `pass` is how much of it hyper has yet to get. `None`:
    /// nothing is open.
    pub(super) fn refuse_for_memory(
        &mut self,
        fault: Fault,
        input: &BytesMut,
        pass: u64,
    ) -> Option<Step> {
        match self.state {
            State::Head(_) if pass > 0 => Some(self.refuse_body(fault)),
            State::Head(_) if self.is_between_messages() => None,
            State::Head(_) => Some(self.abandon(fault, input)),
            State::Chunked { .. } => Some(self.refuse_body(fault)),
            State::Refused => None,
        }
    }

    fn refuse_body(&mut self, fault: Fault) -> Step {
        self.state = State::Refused;
        Step::RefuseBody(Refusal {
            status: fault.status,
            reason: fault.reason,
            request: None,
        })
    }

    /// Refuses a head that is not complete: nothing of it is recorded.
    fn abandon(&mut self, fault: Fault, input: &BytesMut) -> Step {
        let mut step = self.refuse(fault, input);
        if let Step::Refuse { refusal, .. } = &mut step {
            refusal.request = None;
        }
        step
    }

    fn refuse(&mut self, fault: Fault, input: &[u8]) -> Step {
        let State::Head(scan) = std::mem::replace(&mut self.state, State::Refused) else {
            return Step::Over;
        };
        // A head that is too long is not complete, even where its request line is.
        let too_long = fault.status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let request = if too_long { None } else { scan.request(input) };
        Step::Refuse {
            refusal: Refusal {
                status: fault.status,
                reason: fault.reason,
                request,
            },
            stand_in: match scan.is_head(input) {
                true => STAND_IN_FOR_HEAD,
                false => STAND_IN,
            },
        }
    }
}

fn next_head(
    scan: &mut head::Scan,
    input: &mut BytesMut,
    limits: &Limits,
) -> Result<Option<head::Passed>, Fault> {
    if scan.is_blank() {
        let blank = scan.skip_blank(input, limits)?;
        input.advance(blank);
        if scan.is_blank() {
            return Ok(None);
        }
    }
    scan.scan(input, limits)
}

/// A chunk's size line as hyper gets it, without extensions; behind another chunk, also the CRLF that ended that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    bytes: [u8; LINE_BYTES_MAX],
    start: usize,
}

/// Two CRLF and the digits of a u64.
const LINE_BYTES_MAX: usize = 20;

impl Line {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; LINE_BYTES_MAX],
        start: LINE_BYTES_MAX,
    };

    fn new(begun: bool, size: u64) -> Self {
        let mut line = Self::EMPTY;
        line.prepend(b"\r\n");
        let mut rest = size;
        while rest > 0 {
            line.prepend(&[b"0123456789abcdef"[(rest & 15) as usize]]);
            rest >>= 4;
        }
        line.end_of_chunk(begun)
    }

    /// The last size line, with the empty line that ends the body.
    fn last(begun: bool) -> Self {
        let mut line = Self::EMPTY;
        line.prepend(b"0\r\n\r\n");
        line.end_of_chunk(begun)
    }

    fn end_of_chunk(mut self, begun: bool) -> Self {
        if begun {
            self.prepend(b"\r\n");
        }
        self
    }

    fn prepend(&mut self, bytes: &[u8]) {
        let end = self.start;
        self.start -= bytes.len();
        self.bytes[self.start..end].copy_from_slice(bytes);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes so many bytes off the front.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.start += bytes;
    }
}
