//! `Expect: 100-continue`, the one expectation that is supported, in the form that hyper understands.

use super::fields::{Fields, Found};
use super::list;

const CONTINUE: &[u8] = b"100-continue";

/// Whether this member of an Expect value is `100-continue`.
pub(super) fn is_continue(member: &[u8]) -> bool {
    member.eq_ignore_ascii_case(CONTINUE)
}

/// Rewrites a head's field lines, one of which expects `100-continue`, for hyper. hyper reads only the last Expect line
/// and understands no other value than exactly `100-continue`. So the last line with that member gets that value alone
/// and moves after any later Expect lines, which are empty.
pub(super) fn normalize(lines: &mut [u8]) {
    let (mut fields, mut at) = (Fields::default(), 0);
    let (mut continue_line, mut last_expect_end) = (0..0, 0);
    while let Ok(Found::Field) = fields.scan(lines, &mut at, usize::MAX) {
        let (name, value) = fields.field(lines, at);
        if name.eq_ignore_ascii_case(b"expect") {
            last_expect_end = at;
            if list::members(value).any(is_continue) {
                continue_line = fields.line_start()..at;
            }
        }
    }
    let value = &mut lines[continue_line.clone()]["expect:".len()..];
    let value_start = value.len() - CONTINUE.len() - "\r\n".len();
    value[..value_start].fill(b' ');
    value[value_start..][..CONTINUE.len()].copy_from_slice(CONTINUE);
    lines[continue_line.start..last_expect_end].rotate_left(continue_line.len());
}
