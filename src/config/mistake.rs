//! A mistake in an application's section, and the words for what serde reports.

use std::fmt::Display;

use serde::de::{Expected, Unexpected};

/// A mistake: the dotted key, such as `mail.port`, and what would be right.
#[derive(Debug)]
pub struct Mistake {
    pub key: String,
    pub message: String,
}

/// The message of a [`Mistake`], before its key is known.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Error(pub String);

impl serde::de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("{found} is not valid: write {expected}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, names: &'static [&'static str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
        let names = names.join(", ");
        Self(format!("{found:?} is not valid: write one of {names}"))
    }

    fn unknown_field(_: &str, names: &'static [&'static str]) -> Self {
        Self(format!(
            "there is no such key: the keys are {}",
            names.join(", ")
        ))
    }

    fn missing_field(name: &'static str) -> Self {
        Self(format!("the key `{name}` is missing: add it"))
    }
}
