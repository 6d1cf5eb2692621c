//! Where to listen, in the three forms the configuration knows.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

use super::lenient::LenientList;

/// What fits into a unix socket's address beside the closing NUL.
pub(crate) const UNIX_PATH_BYTES_MAX: usize = 107;
/// Where the replica's number goes in the name of a unix socket.
pub(super) const NUMBER: &str = "*";
/// The highest number a replica may take: two digits.
pub(crate) const NUMBER_MAX: u8 = 99;
/// systemd's own bound on `FileDescriptorName=`.
const FD_NAME_BYTES_MAX: usize = 255;

/// One listener. `Display` gives back the text that `FromStr` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `ADDR:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`, at most 107 bytes of path. A `*` in the file's name is replaced by the replica's number.
    Unix(PathBuf),
    /// `fd:NAME`: a socket inherited from systemd under that name.
    Fd(String),
}

impl Listen {
    /// Whether both cannot be bound by one process. Port 0 is a new port each time.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self == other && !matches!(self, Self::Tcp(address) if address.port() == 0)
    }

    /// Whether its name waits for the replica's number.
    pub fn is_numbered(&self) -> bool {
        matches!(self, Self::Unix(path) if path.to_string_lossy().contains(NUMBER))
    }

    /// The same, with the replica's number in its name.
    pub(crate) fn with_number(&self, number: u8) -> Self {
        match self.to_string().strip_prefix("unix:") {
            Some(path) if self.is_numbered() => {
                Self::Unix(path.replace(NUMBER, &number.to_string()).into())
            }
            _ => self.clone(),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Fd(name) => write!(f, "fd:{name}"),
        }
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a list of listeners: at least one, none of them twice.
pub(super) fn listeners<'de, D>(deserializer: D) -> Result<Vec<Listen>, D::Error>
where
    D: Deserializer<'de>,
{
    let LenientList(texts) = Deserialize::deserialize(deserializer)?;
    let mut listeners: Vec<Listen> = Vec::new();
    for text in texts {
        let listen: Listen = text.parse().map_err(D::Error::custom)?;
        if listeners.iter().any(|other| listen.collides(other)) {
            let message = format!("{text:?} is there twice: name each listener once");
            return Err(D::Error::custom(message));
        }
        listeners.push(listen);
    }
    if listeners.is_empty() {
        return Err(D::Error::custom(
            "the list is empty: name at least one listener, such as \"127.0.0.1:8080\"",
        ));
    }
    Ok(listeners)
}

impl FromStr for Listen {
    type Err = String;

    /// # Errors
    /// One line: what was found and what would be right.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(text, path);
        }
        if let Some(name) = text.strip_prefix("fd:") {
            return fd(text, name);
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!(
                "{text:?} is not a listener: write ADDR:PORT with a numeric address, such as \"127.0.0.1:8080\" or \
                 \"[::1]:8080\", unix:PATH, or fd:NAME"
            )
        })
    }
}

fn unix(text: &str, path: &str) -> Result<Listen, String> {
    if path.is_empty() || path.contains('\0') {
        return Err(format!(
            "{text:?} names no socket: write unix:PATH, such as \"unix:/run/daybook/1.sock\""
        ));
    }
    let numbers = path.matches(NUMBER).count();
    let name = path.rsplit('/').next().unwrap_or_default();
    if numbers > 1 || numbers != name.matches(NUMBER).count() {
        return Err(format!(
            "{text:?}: one * may stand in the socket's name, for the replica's number, and none before it: write \
             something like \"unix:/run/daybook/*.sock\""
        ));
    }
    // A number has two digits at most.
    let bytes = path.len() + numbers;
    if bytes > UNIX_PATH_BYTES_MAX {
        return Err(format!(
            "{text:?} is too long: the path of a unix socket has at most {UNIX_PATH_BYTES_MAX} bytes, this one has {bytes}"
        ));
    }
    Ok(Listen::Unix(path.into()))
}

fn fd(text: &str, name: &str) -> Result<Listen, String> {
    let good = name
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b':');
    if !good || name.is_empty() || name.len() > FD_NAME_BYTES_MAX {
        return Err(format!(
            "{text:?} names no inherited socket: write fd:NAME with the FileDescriptorName= of a systemd socket unit, 1 \
             to {FD_NAME_BYTES_MAX} printable ASCII characters without a colon"
        ));
    }
    Ok(Listen::Fd(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    #[test]
    fn every_form_is_understood() {
        assert_eq!(
            "[::1]:8080".parse(),
            Ok(Listen::Tcp("[::1]:8080".parse().unwrap()))
        );
        assert_eq!(
            "0.0.0.0:0".parse(),
            Ok(Listen::Tcp("0.0.0.0:0".parse().unwrap()))
        );
        assert_eq!(
            "unix:run/a b.sock".parse(),
            Ok(Listen::Unix("run/a b.sock".into()))
        );
        assert_eq!("fd:daybook-1".parse(), Ok(Listen::Fd("daybook-1".into())));
    }

    #[test]
    fn what_cannot_be_listened_on_is_refused() {
        let long_path = format!("unix:{}", "x".repeat(108));
        let long_numbered_path = format!("unix:{}*", "x".repeat(106));
        let long_name = format!("fd:{}", "x".repeat(256));
        for text in [
            "",
            "8080",
            ":8080",
            "localhost:8080",
            "127.0.0.1",
            "127.0.0.1:65536",
            "::1:8080",
            "unix:",
            "unix:a\0b",
            "unix:*/a.sock",
            "unix:*.*.sock",
            &long_path,
            &long_numbered_path,
            "fd:",
            "fd:a:b",
            "fd:é",
            "fd:a\n",
            &long_name,
        ] {
            let message = text.parse::<Listen>().unwrap_err();
            assert!(
                message.contains(&format!("{text:?}")) && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn a_number_goes_where_the_star_is() {
        let numbered = |text: &str| text.parse::<Listen>().unwrap().with_number(7).to_string();
        assert_eq!(numbered("unix:/run/*.admin.sock"), "unix:/run/7.admin.sock");
        for fixed in ["unix:/run/1.sock", "127.0.0.1:8080", "fd:*"] {
            assert_eq!(numbered(fixed), fixed);
        }
    }

    #[test]
    fn only_port_0_may_repeat() {
        let listen = |text: &str| text.parse::<Listen>().unwrap();
        assert!(listen("127.0.0.1:1").collides(&listen("127.0.0.1:1")));
        assert!(listen("unix:a").collides(&listen("unix:a")));
        assert!(!listen("127.0.0.1:0").collides(&listen("127.0.0.1:0")));
        assert!(!listen("unix:a").collides(&listen("fd:a")));
    }

    proptest! {
        #[test]
        fn an_address_reads_back(address in any::<IpAddr>(), port in any::<u16>()) {
            let listen = Listen::Tcp(SocketAddr::new(address, port));
            prop_assert_eq!(listen.to_string().parse(), Ok(listen));
        }

        #[test]
        fn a_path_reads_back(path in "[^\0*]{1,26}") {
            let listen = Listen::Unix(path.into());
            prop_assert_eq!(listen.to_string().parse(), Ok(listen));
        }

        #[test]
        fn a_name_reads_back(name in "[ -9;-~]{1,255}") {
            let listen = Listen::Fd(name);
            prop_assert_eq!(listen.to_string().parse(), Ok(listen));
        }

        #[test]
        fn nothing_makes_it_panic(text in "(unix:|fd:|\\[)?\\PC*") {
            let _ = text.parse::<Listen>();
        }
    }
}
