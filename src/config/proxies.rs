//! The reverse proxies whose X-Forwarded-For is trusted.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::lenient::LenientList;

/// The peers whose X-Forwarded-For is trusted; none by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(try_from = "LenientList", into = "Vec<String>")]
pub(crate) struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl TrustedProxies {
    /// Reads networks (`10.0.0.0/8`), single addresses, and `unix`.
    ///
    /// # Errors
    /// The first entry that is none of them.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, String> {
        let mut trusted = Self::default();
        for entry in entries.iter().map(AsRef::as_ref) {
            match entry {
                "unix" => trusted.unix = true,
                _ => trusted.networks.push(network(entry)?),
            }
        }
        Ok(trusted)
    }

    /// Whether a peer with this address is trusted. An IPv4-mapped address (`::ffff:10.0.0.1`) counts as IPv4.
    pub fn trusts_ip(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Whether peers on Unix sockets are trusted.
    pub fn trusts_unix(&self) -> bool {
        self.unix
    }
}

impl TryFrom<LenientList> for TrustedProxies {
    type Error = String;

    fn try_from(LenientList(entries): LenientList) -> Result<Self, String> {
        Self::parse(&entries)
    }
}

impl From<TrustedProxies> for Vec<String> {
    fn from(trusted: TrustedProxies) -> Self {
        let networks = trusted.networks.iter().map(ToString::to_string);
        let unix = trusted.unix.then(|| "unix".to_owned());
        networks.chain(unix).collect()
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            format!("{text:?} is not a network: write CIDR form, such as \"10.0.0.0/8\", one address, or \"unix\"")
        })?,
    };
    if network.trunc() != network {
        return Err(format!(
            "{text:?} has bits set after its prefix: write \"{}\" for the network or \"{}\" for the address",
            network.trunc(),
            network.addr()
        ));
    }
    Ok(canonical(network))
}

/// Makes a network of IPv4-mapped addresses an IPv4 network: addresses are compared as IPv4 where possible.
fn canonical(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network) {
        (IpAddr::V4(address), IpNet::V6(mapped)) => mapped
            .prefix_len()
            .checked_sub(96)
            .and_then(|length| Ipv4Net::new(address, length).ok())
            .map_or(network, IpNet::V4),
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trusts(entry: &str, address: &str) -> bool {
        TrustedProxies::parse(&[entry])
            .unwrap()
            .trusts_ip(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        assert!(trusts("10.0.0.0/8", "10.255.0.1"));
        assert!(!trusts("10.0.0.0/8", "11.0.0.1"));
        assert!(trusts("192.0.2.7", "192.0.2.7"));
        assert!(!trusts("192.0.2.7", "192.0.2.8"));
        assert!(trusts("fd00::/8", "fd12::1"));
        assert!(trusts("::1", "::1"));
        assert!(!trusts("::/0", "10.0.0.1"));
    }

    #[test]
    fn an_ipv4_mapped_address_counts_as_ipv4() {
        assert!(trusts("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(trusts("::ffff:10.0.0.0/104", "10.0.0.1"));
        assert!(trusts("::ffff:10.0.0.1", "10.0.0.1"));
    }

    #[test]
    fn unix_trusts_unix_sockets_alone() {
        let unix = TrustedProxies::parse(&["unix"]).unwrap();
        assert!(unix.trusts_unix());
        assert!(!unix.trusts_ip("127.0.0.1".parse().unwrap()));
        assert!(!TrustedProxies::default().trusts_unix());
    }

    #[test]
    fn bits_after_the_prefix_are_refused() {
        let message = TrustedProxies::parse(&["10.0.0.1/8"]).unwrap_err();
        assert!(
            message.contains("\"10.0.0.1/8\"") && message.contains("\"10.0.0.0/8\""),
            "{message}"
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10/8",
            "localhost",
            "UNIX",
            "10.0.0.0/8,::1",
            "*",
        ] {
            assert!(
                TrustedProxies::parse(&[text])
                    .unwrap_err()
                    .contains(&format!("{text:?}"))
            );
        }
    }

    proptest! {
        #[test]
        fn a_written_list_reads_back(address in any::<IpAddr>(), length in 0..=128u8, unix in any::<bool>()) {
            let length = if address.is_ipv4() { length.min(32) } else { length };
            let mut entries = vec![IpNet::new(address, length).unwrap().trunc().to_string()];
            entries.extend(unix.then(|| "unix".to_owned()));
            let trusted = TrustedProxies::parse(&entries).unwrap();
            prop_assert_eq!(TrustedProxies::parse(&Vec::from(trusted.clone())), Ok(trusted));
        }

        #[test]
        fn a_network_trusts_its_own_address(address in any::<IpAddr>(), length in 0..=128u8) {
            let length = if address.is_ipv4() { length.min(32) } else { length };
            let network = IpNet::new(address, length).unwrap().trunc();
            let trusted = TrustedProxies::parse(&[network.to_string()]).unwrap();
            // `::/0` does not contain IPv4-mapped addresses, on purpose.
            let mapped = address.to_canonical() != address && length < 96;
            prop_assert!(mapped || trusted.trusts_ip(address));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = TrustedProxies::parse(&[text]);
        }
    }
}
