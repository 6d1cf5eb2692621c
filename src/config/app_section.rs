//! The section `[app]`: the application's own keys.

use figment::value::Dict;

use super::ConfigError;
use super::mistake::Mistake;
use super::section_type::{AppConfig, Defaults, SECTION, SectionType};

/// The default values of the application's section.
pub fn defaults(section: SectionType) -> Result<Defaults, ConfigError> {
    section.defaults().map_err(|message| ConfigError {
        origin: format!("[{SECTION}]"),
        message,
    })
}

/// Reads the application's type. `origin` is where a key, or a section around it, is set.
pub fn read(
    section: SectionType,
    values: Dict,
    origin: impl Fn(&str) -> String,
) -> Result<AppConfig, ConfigError> {
    section.read(values).map_err(|Mistake { key, message }| {
        let key = match key.as_str() {
            "" => SECTION.to_owned(),
            key => format!("{SECTION}.{key}"),
        };
        ConfigError {
            origin: origin(&key),
            message,
        }
    })
}
