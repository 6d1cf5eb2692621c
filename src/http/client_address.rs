//! The client's address: the connection's peer, or what trusted proxies say in X-Forwarded-For.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// The client's address. Behind a trusted peer, X-Forwarded-For is read from the right, past trusted proxies, to the first
/// untrusted address. A malformed entry stops at the last valid address.
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
    // All lines are one list, to which each proxy appends. Empty members are skipped.
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty()) {
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

/// An address as proxies write it: alone or with a port. IPv6 with a port is in brackets; brackets without a port are also
/// accepted. A zone (`fe80::1%eth0`) is dropped, as it is from the peer's address.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let address: IpAddr = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            if !port.is_empty() && !is_port(port.strip_prefix(':')?) {
                return None;
            }
            parse_v6(address)?.into()
        }
        None => match text.split_once(':') {
            // Exactly one colon: otherwise it is IPv6, and what follows is no port.
            Some((address, port)) if is_port(port) => address.parse::<Ipv4Addr>().ok()?.into(),
            Some(_) => parse_v6(text)?.into(),
            None => text.parse::<Ipv4Addr>().ok()?.into(),
        },
    };
    Some(address.to_canonical())
}

fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    let address = match text.split_once('%') {
        Some((address, zone)) if is_zone(zone) => address,
        _ => text,
    };
    address.parse().ok()
}

/// RFC 6874: one or more unreserved characters.
fn is_zone(zone: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !zone.is_empty() && zone.bytes().all(is_unreserved)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
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

    /// Proxies on one network and on a unix socket.
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

    /// An address in one of the forms that proxies write.
    fn format_address(address: IpAddr, form: u8, port: u16) -> String {
        match (address, form) {
            (_, 0) => address.to_string(),
            (_, 1) => format!("\t{address} "),
            (IpAddr::V4(_), _) => format!("{address}:{port}"),
            (IpAddr::V6(_), 2) => format!("[{address}]"),
            (IpAddr::V6(_), 3) => format!("[{address}]:{port}"),
            (IpAddr::V6(_), 4) => format!("{address}%eth0.1"),
            (IpAddr::V6(_), _) => format!("[{address}%lo]:{port}"),
        }
    }

    /// One entry: in a proxy's form, an unusual one, or random bytes.
    fn entry() -> impl Strategy<Value = Vec<u8>> {
        const UNUSUAL: [&str; 8] = [
            "",
            " ",
            "unknown",
            "_hidden",
            "010.0.0.1",
            "::ffff:10.0.0.1",
            "[::ffff:10.0.0.1]:80",
            "10.0.0.1:99999",
        ];
        let address = prop_oneof![trusted_address(), any::<IpAddr>()];
        prop_oneof![
            2 => (address, 0..6_u8, any::<u16>())
                .prop_map(|(address, form, port)| format_address(address, form, port).into_bytes()),
            1 => select(&UNUSUAL[..]).prop_map(|text| text.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..8),
        ]
    }

    /// Every address that is a part of an entry, in any form.
    fn addresses(entry: &[u8]) -> Vec<IpAddr> {
        let text = String::from_utf8_lossy(entry);
        let text = text.trim().trim_start_matches('[');
        let ends = text.char_indices().map(|(index, _)| index);
        ends.chain([text.len()])
            .filter_map(|end| text[..end].parse::<IpAddr>().ok())
            .map(|address| address.to_canonical())
            .collect()
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        vec(entry(), 0..4).prop_map(|entries| entries.join(&b','))
    }

    fn peer_address(peer: Peer) -> Option<IpAddr> {
        match peer {
            Peer::Ip(address) => Some(address.to_canonical()),
            Peer::Unix => None,
        }
    }

    proptest! {
        #[test]
        fn the_result_is_the_peers_address_or_one_in_the_header(
            peer in peer(),
            lines in vec(line(), 0..4),
        ) {
            let headers = header(&lines);
            let found = client_address(peer, &headers, &trusted());
            let mut entries = headers.values().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
            let is_in_header = found.is_some_and(|found| entries.any(|entry| addresses(entry).contains(&found)));
            prop_assert!(found == peer_address(peer) || is_in_header, "{:?}", found);
        }

        #[test]
        fn the_form_of_an_address_and_empty_members_make_no_difference(
            peer in prop_oneof![Just(Peer::Unix), trusted_address().prop_map(Peer::Ip)],
            hops in vec(
                (prop_oneof![trusted_address(), any::<IpAddr>()], 0..6_u8, any::<u16>(), select(&[",", ", ", ",,", " ,\t, "][..])),
                0..5,
            ),
            lead in select(&["", ",", " ", " , "][..]),
            cut in any::<bool>(),
        ) {
            let plain: Vec<_> = hops.iter().map(|(address, ..)| address.to_string()).collect();
            let mut others = vec![lead.to_owned()];
            for (address, form, port, end) in &hops {
                let line = others.last_mut().unwrap();
                line.push_str(&format_address(*address, *form, *port));
                line.push_str(end);
                if cut {
                    others.push(String::new());
                }
            }
            let others: Vec<_> = others.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(
                client_address(peer, &header(&others), &trusted()),
                client_address(peer, &header(&[plain.join(", ").into_bytes()]), &trusted())
            );
        }

        #[test]
        fn without_trusted_proxies_it_is_the_peers_address(peer in peer(), lines in vec(line(), 0..4)) {
            let none = TrustedProxies::default();
            prop_assert_eq!(client_address(peer, &header(&lines), &none), peer_address(peer));
        }

        #[test]
        fn entries_left_of_an_untrusted_address_change_nothing(
            peer in prop_oneof![Just(Peer::Unix), trusted_address().prop_map(Peer::Ip)],
            mut lines in vec(line(), 0..3),
            left in prop::option::of(line()),
            client in untrusted_address(),
            proxies in vec(trusted_address(), 0..3),
        ) {
            let mut line = left.map(|left| [left, b", ".to_vec()].concat()).unwrap_or_default();
            // Bytes that are invalid in a header would drop the whole line.
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
