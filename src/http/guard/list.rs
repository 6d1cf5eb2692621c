//! Fields whose value is a list (RFC 9110 5.6.1).

/// The members, without the white space around them. An empty one counts for nothing, unless a field's own rules say
/// otherwise. Commas within a quoted string split it, too: no field read here takes a member with a quote in it.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(|member| member.trim_ascii())
}
