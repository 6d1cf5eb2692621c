//! Finds the layers, puts one upon the other, and blames the right one.

use super::{
    Config, ConfigError, DEFAULT_TOML, Origin,
    error::Invalid,
    keys::{self, KNOWN, Lines},
    raw::RawConfig,
    validate::validate,
};
use figment::{
    Figment,
    providers::{Format, Toml},
};
use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

const PREFIX: &str = "DAYBOOK_";
/// Names the file; it is no key.
const FILE_VARIABLE: &str = "DAYBOOK_CONFIG";
const FILE_HERE: &str = "daybook.toml";
/// Not the program's: `compose.yaml`'s REPLICAS and NEXT_IMAGE had these names, and a shell may still export them.
const NOT_THE_PROGRAMS: [&str; 2] = ["DAYBOOK_REPLICAS", "DAYBOOK_NEXT_IMAGE"];

/// A configuration and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// The configuration file that was read, if there was one.
    pub file: Option<PathBuf>,
}

/// Loads the configuration of this process: defaults, below the file (`file`, which is `--config`, else
/// `$DAYBOOK_CONFIG`, else `./daybook.toml` if that is there), below the environment.
///
/// # Errors
/// The first thing that is wrong. A restart will not cure it.
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    load_from(file, env::vars_os(), Path::new("."))
}

/// [`load`] with the environment and the working directory given.
///
/// # Errors
/// The first thing that is wrong.
pub fn load_from(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    directory: &Path,
) -> Result<Loaded, ConfigError> {
    let mut environment: BTreeMap<OsString, OsString> = environment.into_iter().collect();
    let named = environment
        .remove(&OsString::from(FILE_VARIABLE))
        .filter(|name| !name.is_empty());
    let file = File::find(file, named, directory)?;
    let variables = variables(environment)?;

    let mut figment = Figment::from(Toml::string(DEFAULT_TOML));
    if let Some(file) = &file {
        figment = figment.merge(Toml::string(&file.text));
    }
    for (key, value) in &variables {
        figment = figment.merge((*key, value));
    }
    let raw = figment.extract::<RawConfig>().map_err(|error| {
        let message = match error.kind {
            figment::error::Kind::Message(message) => message,
            kind => kind.to_string(),
        };
        Invalid::new(known(&error.path), message)
    });
    let config = raw
        .and_then(validate)
        .map_err(|invalid| blame(invalid, file.as_ref(), &variables))?;
    Ok(Loaded {
        config,
        file: file.map(|file| file.path),
    })
}

/// A wrong item of a list is reported with its index below the list's key, which is the one that is wanted here.
fn known(path: &[String]) -> String {
    let path = path.join(".");
    let key = KNOWN.iter().find(|key| {
        path.strip_prefix(key.as_str())
            .is_some_and(|rest| rest.starts_with('.'))
    });
    key.cloned().unwrap_or(path)
}

fn blame(invalid: Invalid, file: Option<&File>, variables: &BTreeMap<&str, String>) -> ConfigError {
    let origin = invalid.keys.iter().find_map(|key| {
        if variables.contains_key(key.as_str()) {
            return Some(Origin::Variable(variable(key)));
        }
        let file = file?;
        let line = Some(*file.lines.get(key)?);
        Some(Origin::File {
            path: file.path.clone(),
            line,
            key: Some(key.clone()),
        })
    });
    let origin = origin.unwrap_or_else(|| Origin::Default {
        key: invalid.keys.join(", "),
    });
    ConfigError {
        origin,
        message: invalid.message,
    }
}

/// The name of the environment variable that sets a key.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// The keys that the environment sets, and to what. Every value stays the text it is: `007` is a name, `10.0.0.0/8` a
/// network, and `[::1]:8080` no list.
fn variables(
    environment: BTreeMap<OsString, OsString>,
) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let mut variables = BTreeMap::new();
    for (name, value) in environment {
        let name = name.to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if NOT_THE_PROGRAMS.contains(&name.as_str()) {
            continue;
        }
        let Some(key) = KNOWN.iter().find(|key| variable(key) == name) else {
            let message = keys::unknown(&rest.replace("__", ".").to_lowercase(), variable);
            return Err(ConfigError {
                origin: Origin::Variable(name),
                message,
            });
        };
        let value = value.into_string().map_err(|value| ConfigError {
            origin: Origin::Variable(name),
            message: format!("{value:?} is not UTF-8 text: write the value in UTF-8"),
        })?;
        variables.insert(key.as_str(), value);
    }
    Ok(variables)
}

/// A configuration file whose keys are known ones.
struct File {
    path: PathBuf,
    text: String,
    lines: Lines,
}

impl File {
    fn find(
        flag: Option<&Path>,
        variable: Option<OsString>,
        directory: &Path,
    ) -> Result<Option<Self>, ConfigError> {
        let (path, namer) = match (flag, variable) {
            (Some(path), _) => (directory.join(path), Some(Origin::Flag("--config"))),
            (None, Some(path)) => (
                directory.join(path),
                Some(Origin::Variable(FILE_VARIABLE.to_owned())),
            ),
            (None, None) => (directory.join(FILE_HERE), None),
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && namer.is_none() => {
                return Ok(None);
            }
            Err(error) => {
                let origin = namer.unwrap_or(Origin::File {
                    path: path.clone(),
                    line: None,
                    key: None,
                });
                let message = format!(
                    "cannot read {path:?}: {error}: name a configuration file that can be read"
                );
                return Err(ConfigError { origin, message });
            }
        };
        match keys::lines(&text) {
            Ok(lines) => Ok(Some(Self { path, text, lines })),
            Err(keys::Misplaced { line, key, message }) => Err(ConfigError {
                origin: Origin::File { path, line, key },
                message,
            }),
        }
    }
}
