//! Listeners, in the three forms of the configuration.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

use super::lenient::LenientList;

/// The longest path in a Unix socket's address: 108 bytes with the closing NUL.
pub(crate) const UNIX_PATH_BYTES_MAX: usize = 107;
/// Stands for the replica's number in the file name of a Unix socket.
pub(super) const NUMBER: &str = "*";
/// The highest replica number: two digits.
pub(crate) const NUMBER_MAX: u8 = 99;
/// systemd's limit for `FileDescriptorName=`.
const FD_NAME_BYTES_MAX: usize = 255;

/// A listener. `Display` writes what `FromStr` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `ADDR:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`, at most 107 bytes. A `*` in the file name stands for the replica's number.
    Unix(PathBuf),
    /// `fd:NAME`: a socket that systemd passes under this name.
    Fd(String),
}

impl Listen {
    /// Whether one process cannot bind both. Port 0 is a new port each time.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self == other && !matches!(self, Self::Tcp(address) if address.port() == 0)
    }

    /// Whether its path has a `*` for the replica's number.
    pub fn is_numbered(&self) -> bool {
        matches!(self, Self::Unix(path) if path.to_string_lossy().contains(NUMBER))
    }

    /// This listener with the replica's number for the `*`.
    pub(crate) fn with_number(&self, number: u8) -> Self {
        match self.to_string().strip_prefix("unix:") {
            Some(path) => Self::Unix(path.replace(NUMBER, &number.to_string()).into()),
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
            let message = format!("{text:?} is listed twice: name each listener once");
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
            "{text:?} has no path: write unix:PATH, such as \"unix:/run/daybook/1.sock\""
        ));
    }
    let numbers = path.matches(NUMBER).count();
    let name = path.rsplit('/').next().unwrap_or_default();
    if numbers > 1 || numbers != name.matches(NUMBER).count() {
        return Err(format!(
            "{text:?} has a * in the wrong place: write one * in the file name, for the replica's number, such as \
             \"unix:/run/daybook/*.sock\""
        ));
    }
    // A number has up to two digits, one more than the `*`.
    let bytes = path.len() + numbers;
    if bytes > UNIX_PATH_BYTES_MAX {
        return Err(format!(
            "{text:?} is too long: its path has {bytes} bytes; write one of at most {UNIX_PATH_BYTES_MAX}"
        ));
    }
    Ok(Listen::Unix(path.into()))
}

fn fd(text: &str, name: &str) -> Result<Listen, String> {
    let is_valid = name
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b':');
    if !is_valid || name.is_empty() || name.len() > FD_NAME_BYTES_MAX {
        return Err(format!(
            "{text:?} has no valid name: write fd:NAME with the FileDescriptorName= of a systemd socket unit, 1 to \
             {FD_NAME_BYTES_MAX} printable ASCII characters without a colon"
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
    fn each_form_is_read() {
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
    fn other_texts_are_refused() {
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
    fn the_replica_s_number_replaces_the_star() {
        let numbered = |text: &str| text.parse::<Listen>().unwrap().with_number(7).to_string();
        assert_eq!(numbered("unix:/run/*.admin.sock"), "unix:/run/7.admin.sock");
        for fixed in ["unix:/run/1.sock", "127.0.0.1:8080", "fd:*"] {
            assert_eq!(numbered(fixed), fixed);
        }
    }

    #[test]
    fn only_port_0_may_be_listed_twice() {
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
        fn no_text_makes_it_panic(text in "(unix:|fd:|\\[)?\\PC*") {
            let _ = text.parse::<Listen>();
        }
    }
}
