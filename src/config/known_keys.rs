//! The keys that exist, and the message for one that does not.

use std::collections::BTreeSet;

use figment::value::{Dict, Value};

use super::section_type::SECTION;

/// Every key, by its dotted name.
pub struct KnownKeys {
    /// The program, for the command that prints all keys.
    program: &'static str,
    keys: Vec<String>,
    sections: BTreeSet<String>,
    /// Keys that may have any keys below them: a map that is empty by default, or an option that is `None`.
    open: BTreeSet<String>,
}

impl KnownKeys {
    /// daybook's own keys: all that have a default.
    pub fn of(defaults: &Dict, program: &'static str) -> Self {
        let mut known = Self {
            program,
            keys: Vec::new(),
            sections: BTreeSet::new(),
            open: BTreeSet::new(),
        };
        known.add_all("", defaults);
        known
    }

    /// Adds the keys of the application's section.
    pub fn add_section(&mut self, defaults: &Dict) {
        self.sections.insert(SECTION.to_owned());
        self.add_all(&format!("{SECTION}."), defaults);
    }

    fn add_all(&mut self, prefix: &str, defaults: &Dict) {
        for (name, value) in defaults {
            let key = format!("{prefix}{name}");
            match value {
                Value::Dict(_, section) if !section.is_empty() => {
                    self.add_all(&format!("{key}."), section);
                    self.sections.insert(key);
                }
                Value::Dict(..) | Value::Empty(..) => {
                    self.open.insert(key.clone());
                    self.keys.push(key);
                }
                _ => self.keys.push(key),
            }
        }
    }

    pub fn add(&mut self, key: String) {
        self.keys.push(key);
    }

    pub fn contains(&self, key: &str) -> bool {
        let is_below = |open: &String| {
            key.strip_prefix(open)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.keys.iter().any(|known| known == key) || self.open.iter().any(is_below)
    }

    pub fn is_section(&self, key: &str) -> bool {
        self.sections.contains(key)
    }

    /// The key that is written like this in the environment.
    pub fn find_variable(&self, name: &str, write: impl Fn(&str) -> String) -> Option<String> {
        if let Some(key) = self.keys.iter().find(|key| write(key) == name) {
            return Some(key.clone());
        }
        self.open.iter().find_map(|open| {
            let rest = name.strip_prefix(&write(open))?.strip_prefix("__")?;
            Some(format!("{open}.{}", rest.replace("__", ".").to_lowercase()))
        })
    }

    /// The message for an unknown key, with the key that was probably meant in the form that `write` gives it.
    pub fn unknown(&self, key: &str, write: impl Fn(&str) -> String) -> String {
        let is_of_the_application = key.split('.').next() == Some(SECTION);
        if is_of_the_application && !self.is_section(SECTION) {
            return "there is no such key: this application has no settings of its own".to_owned();
        }
        self.nearest(key).map_or_else(
            || {
                let program = self.program;
                format!("there is no such key: `{program} config --default` prints all keys")
            },
            |known| format!("there is no such key: did you mean {}?", write(known)),
        )
    }

    /// The key with the same last word, else the key or section that differs in few letters.
    fn nearest(&self, key: &str) -> Option<&str> {
        let keys = || self.keys.iter().map(String::as_str);
        let last = key.rsplit('.').next();
        let has_same_word = |known: &&str| known.rsplit_once('.').map(|(_, word)| word) == last;
        if let Some(known) = keys().find(has_same_word) {
            return Some(known);
        }
        let (distance, known) = (keys().chain(self.sections.iter().map(String::as_str)))
            .map(|known| (strsim::osa_distance(key, known), known))
            .min()?;
        (distance <= 1 + known.len() / 6).then_some(known)
    }
}
