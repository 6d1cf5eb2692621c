//! Each row of a table goes through the framing in one piece and in pieces of 1, 3 and 7 bytes.

mod fields;
mod messages;
mod properties;
mod request_line;
mod stream;

use std::time::Duration;

use bytes::{Buf, BytesMut};

use super::Limits;
use super::framing::{Action, Framing};

const LIMITS: Limits = Limits {
    line_bytes_max: 60,
    head_bytes_max: 200,
    fields_max: 5,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    write_timeout: Duration::from_secs(30),
    closing_timeout: Duration::from_secs(1),
};

/// The result for a connection's bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// The bytes that hyper gets.
    forwarded: Vec<u8>,
    /// The number of accepted heads.
    accepted: usize,
    /// Status, and the recorded method and path.
    refused: Option<(u16, Option<String>)>,
    body_refused: Option<u16>,
    /// The last message is incomplete.
    is_incomplete: bool,
}

/// Applies the framing's actions as the guard does, without a socket.
fn run<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut framing, mut input) = (Framing::new(limits), BytesMut::new());
    let (mut outcome, mut unforwarded) = (Outcome::default(), 0_u64);
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let count = (unforwarded.min(input.len() as u64)) as usize;
            outcome.forwarded.extend_from_slice(&input[..count]);
            input.advance(count);
            unforwarded -= count as u64;
            if unforwarded > 0 {
                break;
            }
            match framing.next_action(&mut input) {
                Action::ReadMore => break,
                Action::ForwardMessage {
                    head_bytes,
                    body_bytes,
                } => {
                    unforwarded = head_bytes as u64 + body_bytes;
                    outcome.accepted += 1;
                }
                Action::ForwardChunk { size_line, bytes } => {
                    outcome.forwarded.extend_from_slice(size_line.as_bytes());
                    unforwarded = bytes;
                }
                Action::EndBody { size_line } => {
                    outcome.forwarded.extend_from_slice(size_line.as_bytes());
                }
                Action::RefuseHead {
                    refusal,
                    placeholder,
                } => {
                    outcome.forwarded.extend_from_slice(placeholder);
                    let recorded = refusal
                        .request
                        .map(|request| format!("{} {}", request.method, request.path));
                    outcome.refused = Some((refusal.status.as_u16(), recorded));
                }
                Action::RefuseBody(refusal) => outcome.body_refused = Some(refusal.status.as_u16()),
                Action::Stop => return outcome,
            }
        }
    }
    outcome.is_incomplete = unforwarded > 0 || !framing.is_between_messages();
    outcome
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// So many complete messages.
    Accepted(usize),
    /// Incomplete, and valid so far.
    Incomplete,
    /// Refused with this status and not recorded.
    Unrecorded(u16),
    /// Refused with this status and recorded with this method and path.
    Recorded(u16, &'static str),
    BodyRefused(u16),
}
use Expected::{Accepted, BodyRefused, Incomplete, Recorded, Unrecorded};

fn check(bytes: &[u8], expected: Expected) {
    let text = bytes.escape_ascii();
    let whole = run(LIMITS, [bytes]);
    let is_as_expected = match expected {
        Accepted(count) => {
            whole.accepted == count
                && !whole.is_incomplete
                && whole.refused.is_none()
                && whole.body_refused.is_none()
        }
        Incomplete => {
            whole.is_incomplete && whole.refused.is_none() && whole.body_refused.is_none()
        }
        Unrecorded(status) => whole.refused == Some((status, None)),
        Recorded(status, row) => whole.refused == Some((status, Some(row.to_owned()))),
        BodyRefused(status) => whole.refused.is_none() && whole.body_refused == Some(status),
    };
    assert!(
        is_as_expected,
        "{text}: expected {expected:?}, got {whole:?}"
    );
    for size in [1, 3, 7] {
        let in_pieces = run(LIMITS, bytes.chunks(size));
        assert_eq!(in_pieces, whole, "{text} in pieces of {size}");
    }
}
