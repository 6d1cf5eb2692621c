//! The configuration file: where it is, and the line of each key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml_edit::{ImDocument, TableLike};

use super::ConfigError;
use super::known_keys::KnownKeys;

/// Names the file; it is not a key.
pub const FILE_VARIABLE: &str = "DAYBOOK_CONFIG";
const DEFAULT_FILE: &str = "daybook.toml";

/// A configuration file that is TOML and has only known keys.
pub struct File {
    path: PathBuf,
    pub text: String,
    /// The line of each key and section, from 1.
    lines: BTreeMap<String, usize>,
}

impl File {
    /// Reads the file that the flag names, else the variable, else the default file if it exists.
    pub fn find(
        flag: Option<&Path>,
        variable: Option<OsString>,
        directory: &Path,
        known_keys: &KnownKeys,
    ) -> Result<Option<Self>, ConfigError> {
        let (path, named_by) = match (flag, variable) {
            (Some(path), _) => (directory.join(path), Some("--config")),
            (None, Some(path)) => (directory.join(path), Some(FILE_VARIABLE)),
            (None, None) => (directory.join(DEFAULT_FILE), None),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(path, text, known_keys).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound && named_by.is_none() => Ok(None),
            Err(error) => {
                let origin = named_by.map_or_else(|| path.display().to_string(), str::to_owned);
                let message = format!("cannot read {path:?}: {error}: name a readable file");
                Err(ConfigError { origin, message })
            }
        }
    }

    fn parse(path: PathBuf, text: String, known_keys: &KnownKeys) -> Result<Self, ConfigError> {
        let newlines = |offset| text.bytes().take(offset).filter(|byte| *byte == b'\n');
        let line_at = |offset| 1 + newlines(offset).count();
        let document = ImDocument::parse(text.as_str()).map_err(|error| {
            let line = error.span().map(|span| format!(":{}", line_at(span.start)));
            ConfigError {
                origin: format!("{}{}", path.display(), line.unwrap_or_default()),
                message: format!("this is not TOML: {}", error.message().replace('\n', "; ")),
            }
        })?;
        let mut keys = Vec::new();
        list_keys(document.as_table(), "", &mut keys);
        let mut lines = BTreeMap::new();
        for (key, offset, is_table) in keys {
            let line = line_at(offset);
            let error = |message| ConfigError {
                origin: format!("{}:{line}: {key}", path.display()),
                message,
            };
            if known_keys.is_section(&key) {
                if !is_table {
                    let message = format!("this is a section: write [{key}] and its keys below it");
                    return Err(error(message));
                }
            } else if !known_keys.contains(&key) {
                return Err(error(
                    known_keys.unknown(&key, |known| format!("`{known}`")),
                ));
            }
            lines.insert(key, line);
        }
        Ok(Self { path, lines, text })
    }

    /// Where the file sets this key.
    pub fn origin(&self, key: &str) -> Option<String> {
        let line = self.lines.get(key)?;
        Some(format!("{}:{line}: {key}", self.path.display()))
    }
}

/// Lists each key and section: its dotted name, its offset in the file, and whether it is a table.
fn list_keys(table: &dyn TableLike, prefix: &str, keys: &mut Vec<(String, usize, bool)>) {
    for (name, item) in table.iter() {
        let key = format!("{prefix}{name}");
        let span = table.key(name).and_then(|key| key.span());
        let inner = item.as_table_like();
        keys.push((key.clone(), span.unwrap_or_default().start, inner.is_some()));
        if let Some(inner) = inner {
            list_keys(inner, &format!("{key}."), keys);
        }
    }
}
