//! How single values are read and checked. Errors say what was found and what would be right.

use std::path::PathBuf;

use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer};

use super::lenient::{LenientList, LenientString};

const REPLICA_BYTES_MAX: usize = 128;

/// Reads a string and converts it.
fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    convert: impl FnOnce(String) -> Result<T, String>,
) -> Result<T, D::Error> {
    let LenientString(text) = Deserialize::deserialize(deserializer)?;
    convert(text).map_err(D::Error::custom)
}

pub fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    read(deserializer, |text| {
        (text.parse()).map_err(|_| format!("{text:?} is not a boolean: write true or false"))
    })
}

/// One of an enum's names; serde lists them in the error.
pub fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let LenientString(text) = Deserialize::deserialize(deserializer)?;
    T::deserialize(text.into_deserializer())
}

pub fn replica_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read(deserializer, |name| {
        let is_printable = !name.chars().any(char::is_control) && !name.trim().is_empty();
        if is_printable && name.len() <= REPLICA_BYTES_MAX {
            return Ok(name);
        }
        Err(format!(
            "{name:?} is not a replica's name: write 1 to {REPLICA_BYTES_MAX} bytes of printable text, such as \"1\""
        ))
    })
}

pub fn host_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let is_name = |name: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !name.is_empty() && name.bytes().all(is_allowed)
    };
    let LenientList(mut names) = Deserialize::deserialize(deserializer)?;
    for name in &mut names {
        if !is_name(name) {
            return Err(D::Error::custom(format!(
                "{name:?} is not a host name: write it without a port, such as \"replicas\""
            )));
        }
        name.make_ascii_lowercase();
    }
    Ok(names)
}

pub fn database_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    read(deserializer, |path| {
        // SQLite opens ":memory:" in memory, and resolves "file:" as a URI.
        let is_special = path == ":memory:" || path.starts_with("file:");
        if path.is_empty() || path.contains('\0') || is_special {
            return Err(format!(
                "{path:?} is not a file: write a path, such as \"/var/lib/daybook/requests.db\""
            ));
        }
        Ok(path.into())
    })
}

pub mod health_path {
    use serde::{Deserializer, Serializer};

    pub fn deserialize<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
    where
        D: Deserializer<'de>,
    {
        super::read(deserializer, |path| {
            let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
            match path.as_bytes() {
                [] => Ok(None),
                [b'/', rest @ ..] if rest.iter().copied().all(is_allowed) => Ok(Some(path)),
                _ => Err(format!(
                    "{path:?} is not a path: begin with /, without space, ? or #, such as \"/healthz\", or write \"\""
                )),
            }
        })
    }

    pub fn serialize<S: Serializer>(path: &Option<String>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(path.as_deref().unwrap_or_default())
    }
}

/// A value that may be left out: `""` is none.
pub mod optional {
    use serde::{Deserializer, Serialize, Serializer};

    use super::LenientString;

    pub fn deserialize<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: TryFrom<LenientString, Error = String>,
    {
        super::read(deserializer, |text| match text.as_str() {
            "" => Ok(None),
            _ => T::try_from(LenientString(text)).map(Some),
        })
    }

    pub fn serialize<S: Serializer, T: Serialize>(
        value: &Option<T>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(s),
            None => s.serialize_str(""),
        }
    }
}
