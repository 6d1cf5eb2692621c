//! Who sent a request: the connection's peer, or what trusted proxies say of it.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::config::TrustedProxies;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Ip(IpAddr),
    /// Over a unix socket.
    Unix,
}

/// The client's address: read from the right, past trusted proxies, to the first that is not one. Garbage stops
/// the walk at the last valid address.
pub fn client_address(peer: Peer, headers: &HeaderMap, trusted: &TrustedProxies) -> Option<IpAddr> {
    let (mut client, is_trusted) = match peer {
        Peer::Ip(address) => {
            let address = address.to_canonical();
            (Some(address), trusted.trusts_ip(address))
        }
        Peer::Unix => (None, trusted.trusts_unix()),
    };
    if !is_trusted {
        return client;
    }
    // All its lines joined, in their order: the newest proxy has written last.
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    for hop in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(address) = parse(hop) else {
            break;
        };
        client = Some(address);
        if !trusted.trusts_ip(address) {
            break;
        }
    }
    client
}

fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let address: IpAddr = text.trim_matches([' ', '\t']).parse().ok()?;
    Some(address.to_canonical())
}
