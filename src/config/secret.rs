//! [`Secret`]: a text of the configuration that is never printed.

use std::cell::Cell;
use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Printed in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Why [`HIDDEN`] is no secret.
pub(super) const REFUSAL: &str = "\"***\" is printed in place of a secret: write the secret itself";

/// A password or token in the application's configuration ([`App::config`](crate::App::config)).
///
/// The key of a `password: Secret`, or of a `password: Option<Secret>`, takes the text itself. Or another key takes a file that
/// holds it:
///
/// ```toml
/// [app]
/// password = "hunter2"
/// # or
/// password_file = "/run/secrets/password"
/// ```
///
/// In the environment these are `DAYBOOK_APP__PASSWORD` and `DAYBOOK_APP__PASSWORD_FILE`. The program reads the file once,
/// when it starts, and removes one newline at its end. `Debug`, `Serialize` and `daybook config` show `"***"`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{HIDDEN:?}")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if IS_EXPOSED.get() { &self.0 } else { HIDDEN })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == HIDDEN {
            return Err(D::Error::custom(REFUSAL));
        }
        Ok(Self(text))
    }
}

thread_local! {
    static IS_EXPOSED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `call`, in which secrets are serialised as their text: a section's default values go through serde.
pub(super) fn exposed<T>(call: impl FnOnce() -> T) -> T {
    IS_EXPOSED.set(true);
    let result = call();
    IS_EXPOSED.set(false);
    result
}
