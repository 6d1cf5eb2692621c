//! The section `[app]`: the application's own keys, and its secrets that come from files.

use std::fs;
use std::path::Path;

use figment::value::{Dict, Value};

use super::lenient::LenientString;
use super::{ConfigError, Mistake};
use crate::app::{App, AppConfig, Defaults, SECTION};

/// After the key of a secret: the file that holds it.
const FILE_SUFFIX: &str = "_file";

/// The default values of the application's section, if it declares one.
pub fn defaults(app: &App) -> Result<Option<Defaults>, ConfigError> {
    let defaults = app.config.map(|section| section.defaults()).transpose();
    defaults.map_err(|message| ConfigError {
        origin: format!("[{SECTION}]"),
        message,
    })
}

/// The dotted names of all secrets, with the section's.
pub fn secrets(defaults: &Defaults) -> Vec<String> {
    let mut secrets = Vec::new();
    list_differing(SECTION, &defaults.values, &defaults.hidden, &mut secrets);
    secrets
}

fn list_differing(section: &str, exposed: &Dict, hidden: &Dict, keys: &mut Vec<String>) {
    for (name, value) in exposed {
        let key = format!("{section}.{name}");
        match (value, hidden.get(name)) {
            (Value::Dict(_, exposed), Some(Value::Dict(_, hidden))) => {
                list_differing(&key, exposed, hidden, keys);
            }
            (value, other) if other != Some(value) => keys.push(key),
            _ => {}
        }
    }
}

/// The key that names a secret's file.
pub fn file_key(secret: &str) -> String {
    format!("{secret}{FILE_SUFFIX}")
}

/// Puts the content of its file in place of the key that names it. `origin` is where the key is set, if it is.
pub fn read_secret(
    values: &mut Dict,
    secret: &str,
    directory: &Path,
    origin: impl Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    let file_key = file_key(secret);
    let Some(file_origin) = origin(&file_key) else {
        return Ok(());
    };
    let error = |message: String| ConfigError {
        origin: file_origin.clone(),
        message,
    };
    if let Some(other) = origin(secret) {
        let message = format!("the secret is also set by {other}: remove one of them");
        return Err(error(message));
    }
    let (path, name) = secret.split_once('.').map_or(("", secret), |(_, key)| {
        key.rsplit_once('.').unwrap_or(("", key))
    });
    let section = path.split('.').filter(|name| !name.is_empty());
    let section = section.fold(values, |section, name| match section.get_mut(name) {
        Some(Value::Dict(_, inner)) => inner,
        _ => unreachable!("a secret's section has a default"),
    });
    let file = section.remove(&format!("{name}{FILE_SUFFIX}"));
    let file = LenientString::try_from(file.expect("the key is set"));
    let LenientString(file) = file.map_err(|message| error(message.to_owned()))?;
    let mut text = fs::read_to_string(directory.join(&file)).map_err(|why| {
        error(format!(
            "cannot read {file:?}: {why}: name a readable file that holds the secret"
        ))
    })?;
    if text.ends_with('\n') {
        text.pop();
    }
    section.insert(name.to_owned(), text.into());
    Ok(())
}

/// Reads the application's type. `origin` is where a key, or a section around it, is set.
pub fn read(
    app: &App,
    values: Dict,
    origin: impl Fn(&str) -> String,
) -> Result<AppConfig, ConfigError> {
    let Some(section) = app.config else {
        return Ok(AppConfig::default());
    };
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
