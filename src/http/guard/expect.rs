//! The one expectation that is met, `100-continue`, in the form that hyper knows.

use super::fields::{Fields, Found};
use super::list;

const CONTINUE: &[u8] = b"100-continue";

/// Whether this member of an Expect is `100-continue`.
pub(super) fn is_continue(member: &[u8]) -> bool {
    member.eq_ignore_ascii_case(CONTINUE)
}

/// hyper reads only the last Expect line, and knows no value but exactly `100-continue`. This gives the last line that
/// has it that value, and moves it behind later Expect lines, which are empty. `lines` are a head's field lines; one of
/// them has it.
pub(super) fn tidy(lines: &mut [u8]) {
    let (mut fields, mut at) = (Fields::default(), 0);
    let (mut found, mut end) = (0..0, 0);
    while let Ok(Found::Field) = fields.scan(lines, &mut at, usize::MAX) {
        let (name, value) = fields.field(lines, at);
        if name.eq_ignore_ascii_case(b"expect") {
            end = at;
            if list::members(value).any(is_continue) {
                found = fields.begin()..at;
            }
        }
    }
    let value = &mut lines[found.clone()]["expect:".len()..];
    let place = value.len() - CONTINUE.len() - "\r\n".len();
    value[..place].fill(b' ');
    value[place..][..CONTINUE.len()].copy_from_slice(CONTINUE);
    lines[found.start..end].rotate_left(found.len());
}
