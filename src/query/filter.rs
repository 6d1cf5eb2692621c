//! [`Filter`]: which records a reader wants.

use std::net::IpAddr;

use ipnet::IpNet;
use rusqlite::types::Value;

use super::parameter::{Parameter, ParameterError, set_once, unknown};
use super::status::{self, StatusFilter};
use super::time::{self, Time};
use crate::store::StoredRecord;

/// The records that one wants: all parameters hold. One that may be repeated holds if one of its values does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter {
    /// The first moment.
    pub since: Option<Time>,
    /// The moment after the last.
    pub until: Option<Time>,
    methods: Vec<String>,
    path_prefix: Option<String>,
    statuses: Vec<StatusFilter>,
    remote_addr: Option<IpNet>,
    path_part: Option<String>,
}

/// IPv4, and IPv6 in the forms `1:2:3::/64` and `::1`.
const ADDRESS_PATTERN: &str = "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])([.](25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}(/([12]?[0-9]|3[0-2]))?|([0-9a-f]{1,4}(:[0-9a-f]{1,4}){0,5})?::([0-9a-f]{1,4})?(/([1-9]?[0-9]|1[01][0-9]|12[0-8]))?)$";

/// A condition in SQL, and the values of its `?`.
pub(super) type Condition = (String, Vec<Value>);

impl Filter {
    /// All of them.
    pub const PARAMETERS: [Parameter; 7] = [
        Parameter {
            name: "since",
            help: "Requests that arrived at this time or later: RFC 3339, Unix seconds, or an age such as 15m.",
            pattern: Some(time::PATTERN),
            is_repeatable: false,
        },
        Parameter {
            name: "until",
            help: "Requests that arrived before this time, written as since.",
            pattern: Some(time::PATTERN),
            is_repeatable: false,
        },
        Parameter {
            name: "method",
            help: "Requests with this method, or one of these.",
            pattern: Some("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"),
            is_repeatable: true,
        },
        Parameter {
            name: "path_prefix",
            help: "Requests whose path begins so, byte by byte: recorded paths are still percent-encoded.",
            pattern: Some("^[\\s\\S]+$"),
            is_repeatable: false,
        },
        Parameter {
            name: "status",
            help: "Requests with this status, or one of these: 500, 5xx, or none for a request without one.",
            pattern: Some("^([1-9][0-9][0-9]|[1-9]xx|none)$"),
            is_repeatable: true,
        },
        Parameter {
            name: "remote_addr",
            help: "Requests from this address, or from this network in CIDR form: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32.",
            pattern: Some(ADDRESS_PATTERN),
            is_repeatable: false,
        },
        Parameter {
            name: "q",
            help: "Requests whose path contains this text, in the same case.",
            pattern: Some("^[\\s\\S]+$"),
            is_repeatable: false,
        },
    ];

    /// Reads pairs of name and value. Ages count from `now`.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Time,
    ) -> Result<Self, ParameterError> {
        Self::parse_beside(&[], pairs, now, |_, _| Ok(false))
    }

    /// As [`Filter::parse`], where a question has parameters besides the filter's. `set` takes one of them; it returns false for a
    /// name that is not among them.
    pub(super) fn parse_beside<'a>(
        others: &[Parameter],
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Time,
        mut set: impl FnMut(&str, &str) -> Result<bool, ParameterError>,
    ) -> Result<Self, ParameterError> {
        let mut filter = Self::default();
        for (name, value) in pairs {
            if !set(name, value)? && !filter.set(name, value, now)? {
                return Err(unknown(name, others.iter().chain(&Self::PARAMETERS)));
            }
        }
        Ok(filter)
    }

    /// Takes one parameter. False if it belongs to no filter.
    fn set(&mut self, name: &str, value: &str, now: Time) -> Result<bool, ParameterError> {
        let wrong = |instead: &str| ParameterError::new(name, value, instead);
        let time = || Time::parse(value, now).ok_or_else(|| wrong(&time_expected(value)));
        match name {
            "since" => set_once(name, &mut self.since, time()?)?,
            "until" => set_once(name, &mut self.until, time()?)?,
            "method" if is_token(value) => self.methods.push(value.to_owned()),
            "method" => return Err(wrong("use a method such as GET")),
            "path_prefix" if !value.is_empty() => {
                set_once(name, &mut self.path_prefix, value.to_owned())?;
            }
            "path_prefix" => return Err(wrong("use the beginning of a path, such as /files/")),
            "status" => self
                .statuses
                .push(StatusFilter::parse(value).ok_or_else(|| wrong(status::EXPECTED))?),
            "remote_addr" => {
                let network = network(value).ok_or_else(|| {
                    wrong("use an address such as 192.0.2.1, or a network such as 2001:db8::/32")
                })?;
                set_once(name, &mut self.remote_addr, network)?;
            }
            "q" if !value.is_empty() => set_once(name, &mut self.path_part, value.to_owned())?,
            "q" => return Err(wrong("use a part of a path")),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether it asks for nothing but a time.
    pub fn is_time_only(&self) -> bool {
        *self
            == Self {
                since: self.since,
                until: self.until,
                ..Self::default()
            }
    }

    /// Whether it asks for a status, which a record may get later.
    pub fn has_status(&self) -> bool {
        !self.statuses.is_empty()
    }

    /// This filter for any status.
    pub fn without_status(&self) -> Self {
        Self {
            statuses: Vec::new(),
            ..self.clone()
        }
    }

    /// Whether it wants this record.
    pub fn matches(&self, record: &StoredRecord) -> bool {
        let has_time = || {
            let time = record.timestamp.and_then(Time::from_seconds);
            time.is_some_and(|time| {
                self.since.is_none_or(|since| since <= time)
                    && self.until.is_none_or(|until| time < until)
            })
        };
        let has_address = |network: IpNet| {
            let address: Option<IpAddr> =
                record.remote_addr.as_deref().and_then(|a| a.parse().ok());
            address.is_some_and(|address| network.contains(&address.to_canonical()))
        };
        (self.since.is_none() && self.until.is_none() || has_time())
            && (self.methods.is_empty() || self.methods.contains(&record.method))
            && (self.statuses.is_empty() || self.statuses.iter().any(|s| s.matches(record.status)))
            && (self.path_prefix.as_ref()).is_none_or(|prefix| record.path.starts_with(prefix))
            && (self.path_part.as_ref()).is_none_or(|part| record.path.contains(part))
            && self.remote_addr.is_none_or(has_address)
    }

    /// The part that SQLite can check, which leaves little for [`Filter::matches`]. It holds for every record that is wanted.
    pub(super) fn condition(&self) -> Condition {
        let mut terms = vec!["true".to_owned()];
        let mut values = Vec::new();
        let mut add = |term: String, more: Vec<Value>| {
            terms.push(term);
            values.extend(more);
        };
        // `matches` rounds to a microsecond.
        if let Some(since) = self.since {
            add(
                "timestamp > ?".to_owned(),
                vec![(since.seconds() - 2e-6).into()],
            );
        }
        if let Some(until) = self.until {
            add("timestamp < ?".to_owned(), vec![until.seconds().into()]);
        }
        if !self.methods.is_empty() {
            let places = vec!["?"; self.methods.len()].join(", ");
            let methods = self.methods.iter().cloned().map(Value::from);
            add(format!("method in ({places})"), methods.collect());
        }
        if !self.statuses.is_empty() {
            let any: Vec<String> = self.statuses.iter().map(|status| status.sql()).collect();
            add(format!("({})", any.join(" or ")), Vec::new());
        }
        if let Some(prefix) = &self.path_prefix {
            let (term, values) = begins_with("path", prefix);
            add(term, values);
        }
        if let Some(part) = &self.path_part {
            add("instr(path, ?) > 0".to_owned(), vec![part.clone().into()]);
        }
        match self.remote_addr {
            None => {}
            Some(one) if one.prefix_len() == one.max_prefix_len() => {
                add(
                    "remote_addr = ?".to_owned(),
                    vec![one.addr().to_string().into()],
                );
            }
            Some(IpNet::V4(network)) => {
                // The octets that the whole network has in common.
                let octets = network.network().octets();
                let common = &octets[..usize::from(network.prefix_len() / 8)];
                let prefix: String = common.iter().map(|octet| format!("{octet}.")).collect();
                let (term, values) = begins_with("remote_addr", &prefix);
                add(term, values);
            }
            // An address of IPv6 has no beginning that its whole network shares: zeros are left out.
            Some(IpNet::V6(_)) => add("remote_addr like '%:%'".to_owned(), Vec::new()),
        }
        (terms.join(" and "), values)
    }
}

fn time_expected(value: &str) -> String {
    // A form turns a + into a space.
    match value.contains(' ') && value.contains('T') {
        true => format!("{}; write + as %2B", time::EXPECTED),
        false => time::EXPECTED.to_owned(),
    }
}

/// Whether it can be a method (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_token)
}

/// An address or a network, with IPv4 as IPv4.
fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical().into()),
        Err(_) => text.parse::<IpNet>().ok().map(|network| network.trunc()),
    }
}

/// As a range, which SQLite compares byte by byte, and without a pattern's special characters.
fn begins_with(column: &str, prefix: &str) -> Condition {
    let from = Value::from(prefix.to_owned());
    match after_prefix(prefix) {
        Some(end) => (
            format!("{column} >= ? and {column} < ?"),
            vec![from, end.into()],
        ),
        None => (format!("{column} >= ?"), vec![from]),
    }
}

/// The first text after all that begin with `prefix`; none if there is no such text.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // The range skips what is no character.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests;
