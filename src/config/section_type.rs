//! The application's own section of the configuration, whatever its type.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use figment::value::{Dict, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::deserializer::read;
use super::mistake::Mistake;
use super::secret::{HIDDEN, REFUSAL, exposed};

/// The name of the section.
pub(crate) const SECTION: &str = "app";

/// The type that an application declares with [`App::config`](crate::App::config).
#[derive(Clone, Copy)]
pub(crate) struct SectionType {
    defaults: fn() -> Result<Defaults, String>,
    read: fn(Dict) -> Result<AppConfig, Mistake>,
}

/// The values of `T::default()`.
pub(crate) struct Defaults {
    pub values: Dict,
    /// As TOML, with secrets as comments.
    pub toml: String,
}

impl SectionType {
    pub fn of<T>() -> Self
    where
        T: DeserializeOwned + Serialize + Default + Send + Sync + 'static,
    {
        Self {
            defaults: || defaults::<T>().map_err(|why| cannot_serialise::<T>(&why)),
            read: |values| {
                let value: T = read(Value::from(values))?;
                let toml = to_toml(&value).map_err(|error| Mistake {
                    key: String::new(),
                    message: cannot_serialise::<T>(&error.to_string()),
                })?;
                Ok(AppConfig(Some(Arc::new(Inner {
                    type_name: type_name::<T>(),
                    value,
                    toml,
                }))))
            },
        }
    }

    /// # Errors
    /// Why the type is not fit for a section.
    pub fn defaults(&self) -> Result<Defaults, String> {
        (self.defaults)()
    }

    pub fn read(&self, values: Dict) -> Result<AppConfig, Mistake> {
        (self.read)(values)
    }

    /// Whether this key is a [`Secret`](super::Secret). Only the type knows it, also where the default is `None`: so this
    /// sets the key to the text that only a secret refuses.
    pub fn is_secret(&self, path: &[&str]) -> bool {
        let key = path.join(".");
        let is_refused = |mut values: Dict| {
            set(&mut values, path, HIDDEN);
            // Without a key: serde loses it where a struct is flattened into another.
            self.read(values).is_err_and(|mistake| {
                mistake.message == REFUSAL && (mistake.key == key || mistake.key.is_empty())
            })
        };
        // Alone, because another key's default may be refused first. With the defaults, because a struct with a flattened one
        // first looks for its missing keys.
        is_refused(Dict::new()) || self.defaults().is_ok_and(|all| is_refused(all.values))
    }
}

/// Sets a key, and makes the sections around it.
fn set(values: &mut Dict, path: &[&str], text: &str) {
    let Some((name, below)) = path.split_first() else {
        return;
    };
    let value = values.entry((*name).to_owned()).or_insert(Value::from(""));
    match (below, value) {
        ([], value) => *value = text.into(),
        (below, Value::Dict(_, section)) => set(section, below, text),
        (below, value) => {
            let mut section = Dict::new();
            set(&mut section, below, text);
            *value = section.into();
        }
    }
}

fn defaults<T: Serialize + Default>() -> Result<Defaults, String> {
    let value = T::default();
    let values = exposed(|| Value::serialize(&value).map_err(|error| error.to_string()))?
        .into_dict()
        .ok_or("it is no struct with named fields")?;
    let toml = to_toml(&value).map_err(|error| error.to_string())?;
    let is_secret = |line: &&str| line.ends_with("= \"***\"");
    let line = |line: &str| format!("{}{line}\n", if is_secret(&line) { "# " } else { "" });
    Ok(Defaults {
        values,
        toml: toml.lines().map(line).collect(),
    })
}

fn to_toml<T: Serialize>(value: &T) -> Result<String, toml::ser::Error> {
    #[derive(Serialize)]
    struct File<'a, T> {
        app: &'a T,
    }
    toml::to_string(&File { app: value })
}

fn cannot_serialise<T>(why: &str) -> String {
    let name = type_name::<T>();
    format!("`App::config::<{name}>`: its default cannot be written as a section: {why}")
}

/// The values of the section; empty if the application declares none.
#[derive(Clone, Default)]
pub(crate) struct AppConfig(Option<Arc<Inner<dyn Any + Send + Sync>>>);

struct Inner<T: ?Sized> {
    type_name: &'static str,
    toml: String,
    value: T,
}

impl AppConfig {
    /// # Panics
    /// If the application declares another type, or none.
    #[track_caller]
    pub fn get<T: 'static>(&self) -> &T {
        let wanted = type_name::<T>();
        let inner = self.0.as_ref().unwrap_or_else(|| {
            panic!("`Context::config::<{wanted}>`: the application declares no configuration: add `.config::<{wanted}>()` to its App")
        });
        inner.value.downcast_ref().unwrap_or_else(|| {
            let declared = inner.type_name;
            panic!("`Context::config::<{wanted}>`: the application declares another type: use `Context::config::<{declared}>`")
        })
    }

    /// The section `[app]`, with secrets hidden.
    pub fn to_toml(&self) -> &str {
        self.0.as_ref().map_or("", |inner| &inner.toml)
    }
}

impl fmt::Debug for AppConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.to_toml())
    }
}

/// Equal if they print the same.
impl PartialEq for AppConfig {
    fn eq(&self, other: &Self) -> bool {
        self.to_toml() == other.to_toml()
    }
}
