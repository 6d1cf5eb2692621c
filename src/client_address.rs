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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::HeaderValue;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn header(lines: &[Vec<u8>]) -> HeaderMap {
        lines
            .iter()
            .filter_map(|line| HeaderValue::from_bytes(line).ok())
            .map(|line| ("x-forwarded-for".parse().unwrap(), line))
            .collect()
    }

    /// Proxies on a network of their own, and those on a unix socket.
    fn trusted() -> TrustedProxies {
        TrustedProxies::parse(&["10.0.0.0/8", "unix"]).unwrap()
    }

    fn peer() -> impl Strategy<Value = Peer> {
        prop_oneof![
            Just(Peer::Unix),
            trusted_address().prop_map(Peer::Ip),
            any::<IpAddr>().prop_map(Peer::Ip),
        ]
    }

    fn trusted_address() -> impl Strategy<Value = IpAddr> {
        any::<[u8; 3]>().prop_map(|[a, b, c]| Ipv4Addr::new(10, a, b, c).into())
    }

    fn untrusted_address() -> impl Strategy<Value = IpAddr> {
        any::<IpAddr>().prop_filter("trusted", |address| !trusted().trusts_ip(*address))
    }

    /// One entry, as proxies write it, as others do, or of any bytes.
    fn entry() -> impl Strategy<Value = Vec<u8>> {
        const ODD: [&str; 10] = [
            "",
            " ",
            "unknown",
            "_hidden",
            "10.0.0.1:80",
            "[::1]",
            "010.0.0.1",
            "::ffff:10.0.0.1",
            "\t192.0.2.1 ",
            "fe80::1%eth0",
        ];
        prop_oneof![
            trusted_address().prop_map(|address| address.to_string().into_bytes()),
            any::<IpAddr>().prop_map(|address| address.to_string().into_bytes()),
            select(&ODD[..]).prop_map(|text| text.as_bytes().to_vec()),
            vec(any::<u8>(), 0..8),
        ]
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        vec(entry(), 0..4).prop_map(|entries| entries.join(&b','))
    }

    fn of_peer(peer: Peer) -> Option<IpAddr> {
        match peer {
            Peer::Ip(address) => Some(address.to_canonical()),
            Peer::Unix => None,
        }
    }

    proptest! {
        #[test]
        fn it_is_the_peers_address_or_one_that_the_header_has(
            peer in peer(),
            lines in vec(line(), 0..4),
        ) {
            let headers = header(&lines);
            let found = client_address(peer, &headers, &trusted());
            let mut entries = headers.values().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
            let is_there = entries.any(|entry| {
                let address = String::from_utf8_lossy(entry).trim().parse::<IpAddr>();
                address.ok().map(|address| address.to_canonical()) == found
            });
            prop_assert!(found == of_peer(peer) || is_there, "{:?}", found);
        }

        #[test]
        fn where_nobody_is_trusted_it_is_the_peers(peer in peer(), lines in vec(line(), 0..4)) {
            let nobody = TrustedProxies::default();
            prop_assert_eq!(client_address(peer, &header(&lines), &nobody), of_peer(peer));
        }

        #[test]
        fn what_stands_left_of_an_untrusted_address_changes_nothing(
            peer in prop_oneof![Just(Peer::Unix), trusted_address().prop_map(Peer::Ip)],
            mut lines in vec(line(), 0..3),
            left in prop::option::of(line()),
            client in untrusted_address(),
            proxies in vec(trusted_address(), 0..3),
        ) {
            let mut line = left.map(|left| [left, b", ".to_vec()].concat()).unwrap_or_default();
            // Bytes that no header may have would take the whole line with them.
            line.retain(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
            line.extend(client.to_string().bytes());
            for proxy in proxies {
                line.extend(format!(", {proxy}").bytes());
            }
            lines.push(line);
            let found = client_address(peer, &header(&lines), &trusted());
            prop_assert_eq!(found, Some(client.to_canonical()));
        }
    }
}
