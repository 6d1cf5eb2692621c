//! The configuration: loaded and checked once, before anything else starts.
//!
//! [`Config`] lists the keys; daybook.toml describes them and holds their defaults.

mod app_section;
mod bounded;
mod bytes_max;
mod deserializer;
mod file;
mod keys;
mod known_keys;
mod lenient;
mod listen;
mod load;
mod mistake;
mod proxies;
mod secret;
mod secret_files;
mod section_type;
#[cfg(test)]
mod tests;
mod values;

pub use keys::{Commit, Config, Database, Http, Log, LogFormat, Retention, Synchronous};
pub use listen::Listen;
pub(crate) use listen::{NUMBER_MAX, UNIX_PATH_BYTES_MAX};
pub use load::load;
#[cfg(any(test, feature = "testing"))]
pub(crate) use load::load_for;
#[cfg(test)]
pub use load::load_from;
#[cfg(feature = "testing")]
pub(crate) use load::variable;
pub(crate) use proxies::TrustedProxies;
pub use secret::Secret;
pub(crate) use section_type::{AppConfig, SectionType};

/// The default configuration. Its comments describe the keys.
pub const DEFAULT_TOML: &str = include_str!("../../daybook.toml");

/// A configuration that cannot be used, in one line: where the mistake is, what was found, what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct ConfigError {
    /// `FILE:LINE: KEY`, the name of a variable, or `--config`.
    pub origin: String,
    /// The value found, and a correct one.
    pub message: String,
}

/// The default configuration of an application with this section, which `config --default` prints.
///
/// # Errors
/// If the section's type is not fit for one.
pub fn default_toml(section: Option<SectionType>) -> Result<String, ConfigError> {
    let defaults = section.map(app_section::defaults).transpose()?;
    let toml = defaults.map_or(String::new(), |defaults| defaults.toml);
    Ok(with_section(DEFAULT_TOML, &toml))
}

fn with_section(own: &str, section: &str) -> String {
    match section {
        "" => own.to_owned(),
        section => format!("{own}\n{section}"),
    }
}

impl Config {
    /// Puts the replica's number wherever a `*` stands for it.
    pub(crate) fn set_number(&mut self, number: u8) {
        for listen in self.listen.iter_mut().chain(&mut self.admin.listen) {
            *listen = listen.with_number(number);
        }
        if self.replica == listen::NUMBER {
            self.replica = number.to_string();
        }
    }

    /// The configuration as TOML that loads back to the same, except for secrets, which are hidden.
    pub fn to_toml(&self) -> String {
        let own = toml::to_string(self)
            .expect("strings, numbers and lists of strings can be written as TOML");
        with_section(&own, self.app.to_toml())
    }
}
