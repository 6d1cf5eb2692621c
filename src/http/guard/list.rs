//! Field values that are comma-separated lists (RFC 9110 5.6.1).

/// The members, trimmed. An empty member counts for nothing unless the field's own rules differ. Commas within a quoted
/// string also split: no field read here accepts a member with a quote in it.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(|member| member.trim_ascii())
}
