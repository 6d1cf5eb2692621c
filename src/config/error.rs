//! What is wrong with the configuration, and where that came from.

use std::{fmt, path::PathBuf};

/// A configuration that cannot be used. Its text is one line: where it came from, which key, what was found, and what
/// would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct ConfigError {
    /// Where the wrong value came from.
    pub origin: Origin,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A place in the configuration file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, from 1, where one is to blame.
        line: Option<usize>,
        /// The key, unless it is the file itself that is wrong.
        key: Option<String>,
    },
    /// An environment variable, by its exact name.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// Nothing was set: the key's own default.
    Default {
        /// The key.
        key: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, key } => {
                write!(f, "{}", path.display())?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                key.as_ref().map_or(Ok(()), |key| write!(f, ": {key}"))
            }
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default { key } => write!(f, "{key} is not set, and its default will not do"),
        }
    }
}

/// A value that cannot be used, before it is known who set it.
#[derive(Debug)]
pub(super) struct Invalid {
    /// The keys at odds; the first that somebody set is to blame.
    pub keys: Vec<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Invalid {
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            keys: vec![key.into()],
            message: message.into(),
        }
    }
}
