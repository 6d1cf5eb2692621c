//! Secrets of the section `[app]` that come from files: for the key of a [`Secret`](super::Secret), `KEY_file` names one.

use std::fs;
use std::path::Path;

use figment::value::{Dict, Value};

use super::ConfigError;
use super::lenient::LenientString;
use super::section_type::{SECTION, SectionType};

/// After the key of a secret: the file that holds it.
const SUFFIX: &str = "_file";

/// The key that names a secret's file.
pub fn file_key(secret: &str) -> String {
    format!("{secret}{SUFFIX}")
}

/// The keys for the files of all secrets that have a default, with the section's name. An `Option<Secret>` has the default
/// `None`; the secrets within another `None` are not known yet.
pub fn file_keys(section: SectionType, defaults: &Dict) -> Vec<String> {
    let mut keys = Vec::new();
    for_each_key(defaults, &mut Vec::new(), &mut |path| {
        if section.is_secret(path) {
            keys.push(file_key(&dotted(path)));
        }
    });
    keys
}

/// Puts the content of each file in place of the key that names it. `origin` is where a key is set, if it is.
pub fn read(
    section: SectionType,
    values: &mut Dict,
    directory: &Path,
    origin: impl Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    let mut secrets = Vec::new();
    for_each_key(values, &mut Vec::new(), &mut |path| {
        let (name, around) = path.split_last().expect("a key has a name");
        if let Some(name) = name.strip_suffix(SUFFIX) {
            let secret: Vec<_> = around
                .iter()
                .copied()
                .chain([name])
                .map(str::to_owned)
                .collect();
            secrets.push(secret);
        }
    });
    for secret in secrets {
        let path: Vec<_> = secret.iter().map(String::as_str).collect();
        let key = dotted(&path);
        let Some(file_origin) = origin(&file_key(&key)).filter(|_| section.is_secret(&path)) else {
            continue;
        };
        if let Some(other) = origin(&key) {
            return Err(ConfigError {
                origin: file_origin,
                message: format!("the secret is also set by {other}: remove one of them"),
            });
        }
        replace(values, &path, directory).map_err(|message| ConfigError {
            origin: file_origin,
            message,
        })?;
    }
    Ok(())
}

/// Replaces the key of the file by that of the secret.
fn replace(values: &mut Dict, path: &[&str], directory: &Path) -> Result<(), String> {
    let (name, around) = path.split_last().expect("a key has a name");
    let section = around
        .iter()
        .fold(values, |section, name| match section.get_mut(*name) {
            Some(Value::Dict(_, inner)) => inner,
            _ => unreachable!("the key was found in this section"),
        });
    let file = section.remove(&file_key(name)).expect("the key was found");
    let LenientString(file) = file.try_into().map_err(str::to_owned)?;
    let text = fs::read_to_string(directory.join(&file)).map_err(|error| {
        format!("cannot read {file:?}: {error}: name a readable file that holds the secret")
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    section.insert((*name).to_owned(), text.into());
    Ok(())
}

/// Calls `call` with the path of each key, without those of sections.
fn for_each_key<'a>(keys: &'a Dict, around: &mut Vec<&'a str>, call: &mut impl FnMut(&[&'a str])) {
    for (name, value) in keys {
        around.push(name);
        match value {
            Value::Dict(_, inner) => for_each_key(inner, around, call),
            _ => call(around),
        }
        around.pop();
    }
}

fn dotted(path: &[&str]) -> String {
    format!("{SECTION}.{}", path.join("."))
}
