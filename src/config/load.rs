//! Loads the configuration: defaults, then the file, then the environment. Later ones win.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::iter;
use std::path::Path;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};

use super::app_section;
use super::file::{FILE_VARIABLE, File};
use super::known_keys::KnownKeys;
use super::secret_files::{self, file_key};
use super::section_type::{SECTION, SectionType};
use super::{Config, ConfigError, DEFAULT_TOML};

const PREFIX: &str = "DAYBOOK_";
/// Former names of `compose.yaml`'s REPLICAS and NEXT_IMAGE: a shell may still export them.
const NOT_THE_PROGRAMS: [&str; 2] = ["DAYBOOK_REPLICAS", "DAYBOOK_NEXT_IMAGE"];

/// Loads the configuration of this process, with the application's own section if it has one. `program` is its name. `file`
/// is `--config`; without it the file is `$DAYBOOK_CONFIG`, else `./daybook.toml` if it exists.
///
/// # Errors
/// The first mistake. A restart does not cure it.
pub fn load(
    program: &'static str,
    section: Option<SectionType>,
    file: Option<&Path>,
) -> Result<Config, ConfigError> {
    load_for(program, section, file, env::vars_os(), Path::new("."))
}

/// [`load_for`], for the tests of an application without a section of its own.
///
/// # Errors
/// The first mistake.
#[cfg(test)]
pub fn load_from(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    directory: &Path,
) -> Result<Config, ConfigError> {
    load_for("daybook", None, file, environment, directory)
}

/// [`load`] with this environment and working directory.
///
/// # Errors
/// The first mistake.
pub fn load_for(
    program: &'static str,
    section: Option<SectionType>,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    directory: &Path,
) -> Result<Config, ConfigError> {
    let mut environment: BTreeMap<OsString, OsString> = environment.into_iter().collect();
    let file_variable = environment
        .remove(&OsString::from(FILE_VARIABLE))
        .filter(|name| !name.is_empty());

    let mut figment = Figment::from(Serialized::default("replica", host_name()))
        .merge(Toml::string(DEFAULT_TOML));
    let defaults = figment.extract().expect("daybook.toml is tested");
    let mut known_keys = KnownKeys::of(&defaults, program);
    if let Some(section) = section {
        let defaults = app_section::defaults(section)?;
        known_keys.add_section(&defaults.values);
        for key in secret_files::file_keys(section, &defaults.values) {
            known_keys.add(key);
        }
        figment = figment.merge(Serialized::default(SECTION, defaults.values));
    }
    let file = File::find(file, file_variable, directory, &known_keys)?;
    if let Some(file) = &file {
        figment = figment.merge(Toml::string(&file.text));
    }
    let variables = variables(environment, &known_keys)?;
    for (key, value) in &variables {
        figment = figment.merge((key, value));
    }

    let set_at = |key: &str| match variables.contains_key(key) {
        true => Some(variable(key)),
        false => file.as_ref()?.origin(key),
    };
    // The first of the keys that the environment or the file sets is to blame.
    let error_at = |keys: &[&str], message| {
        let set = keys.iter().find_map(|key| set_at(key));
        let origin = set.unwrap_or_else(|| format!("{}: the default", keys.join(", ")));
        ConfigError { origin, message }
    };
    let wrong_value = |error: figment::Error| {
        let key = error.path.join(".");
        error_at(&[&key], message(error.kind))
    };
    let mut values: Dict = figment.extract().map_err(wrong_value)?;
    let of_the_application = values.remove(SECTION).and_then(Value::into_dict);
    let mut config: Config = Value::from(values).deserialize().map_err(wrong_value)?;
    (config.check_across_keys()).map_err(|conflict| error_at(&conflict.keys, conflict.message))?;

    if let Some(section) = section {
        let mut values = of_the_application.unwrap_or_default();
        secret_files::read(section, &mut values, directory, set_at)?;
        config.app = app_section::read(section, values, |key| {
            let file_key = file_key(key);
            let around = iter::successors(Some(key), |key| Some(key.rsplit_once(['.', '['])?.0));
            let set = iter::once(file_key.as_str()).chain(around).find_map(set_at);
            set.unwrap_or_else(|| format!("{key}: the default"))
        })?;
    }
    Ok(config)
}

/// The default of `replica`.
fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// The keys' own types report `Kind::Message`, an enum `Kind::UnknownVariant`.
fn message(kind: Kind) -> String {
    match kind {
        Kind::Message(message) => message,
        Kind::UnknownVariant(found, names) => {
            let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
            format!("{found:?} is not valid: write one of {}", names.join(", "))
        }
        kind => kind.to_string(),
    }
}

/// The environment variable that sets a key.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// The keys that the environment sets. Each value stays text: figment's own provider would read `007` as a number, and
/// `[::1]:8080` as a list.
fn variables(
    environment: BTreeMap<OsString, OsString>,
    known_keys: &KnownKeys,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut variables = BTreeMap::new();
    for (name, value) in environment {
        let name = name.to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if NOT_THE_PROGRAMS.contains(&name.as_str()) {
            continue;
        }
        let Some(key) = known_keys.find_variable(&name, variable) else {
            let key = rest.replace("__", ".").to_lowercase();
            let message = known_keys.unknown(&key, variable);
            return Err(ConfigError {
                origin: name,
                message,
            });
        };
        let value = value.into_string().map_err(|value| ConfigError {
            origin: name,
            message: format!("{value:?} is not UTF-8: write the value in UTF-8"),
        })?;
        variables.insert(key, value);
    }
    Ok(variables)
}
