//! The request target's forms, and the host with its port.
//!
//! Every target that is accepted here must also be a valid `Uri` to hyper; a property test checks it.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::byte_class::{self, HOST};

/// The part of `target` that is the path to record. `query` is the position of the `?`, or the target's end: the bytes
/// before it are of class `PATH`, those after it of class `QUERY`.
///
/// `None`: the target has no valid form, or the method does not allow its form. An empty range stands for the `/` that an
/// absolute form may omit.
pub(super) fn path(method: &[u8], target: &[u8], query: usize) -> Option<Range<usize>> {
    match target {
        [b'/', ..] => return Some(0..query),
        b"*" => return (method == b"OPTIONS").then_some(0..1),
        _ => {}
    }
    if let Some(scheme) = scheme_bytes(target) {
        let rest = &target[scheme..query];
        let slash = rest.iter().position(|&byte| byte == b'/');
        let authority = &rest[..slash.unwrap_or(rest.len())];
        // hyper rejects percent-encoding in a host.
        let is_valid = is_authority(authority) && !authority.contains(&b'%');
        return is_valid.then_some(scheme + authority.len()..query);
    }
    // CONNECT needs a port.
    let has_port = port_start(target).is_some_and(|start| start < target.len());
    let authority = method == b"CONNECT" && is_authority(target) && has_port;
    authority.then_some(0..target.len())
}

fn scheme_bytes(target: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let start = target.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    })
}

/// A host with an optional port: a name, an IPv4 address, or an IPv6 address in brackets. No user. No comma either: it is
/// legal in a name, but in practice it means that two Host fields were joined.
pub(super) fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = match port_start(authority) {
        Some(start) => (&authority[..start - 1], Some(&authority[start..])),
        None => (authority, None),
    };
    is_host(host) && port.is_none_or(is_port)
}

/// The position after the colon that is not within brackets.
fn port_start(authority: &[u8]) -> Option<usize> {
    let last = authority
        .iter()
        .rposition(|&byte| byte == b':' || byte == b']')?;
    (authority[last] == b':').then_some(last + 1)
}

/// The number may be missing after its colon (RFC 3986 3.2.3).
fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && (port.is_empty() || str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok()))
}

fn is_host(host: &[u8]) -> bool {
    if let [b'[', address @ .., b']'] = host {
        return str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let mut rest = host;
    loop {
        rest = match &rest[byte_class::prefix_len(rest, HOST)..] {
            [] => return !host.is_empty(),
            [b'%', a, b, rest @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            _ => return false,
        };
    }
}
