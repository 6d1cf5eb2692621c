//! Secrets of the application's section: from a value or from a file, and never printed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::*;
use super::load_section;

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct Settings {
    password: Secret,
    token: Option<Secret>,
    mail: Mail,
    /// Nothing says which keys it has.
    relay: Option<Mail>,
    keys: BTreeMap<String, Secret>,
    /// Not secret.
    from: Option<String>,
    limit: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
struct Mail {
    host: String,
    password: Secret,
    token: Option<Secret>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            password: "for development".into(),
            token: None,
            mail: Mail::default(),
            relay: None,
            keys: BTreeMap::new(),
            from: None,
            limit: None,
        }
    }
}

/// Every key of a secret: the second ones are `None` by default.
const KEYS: [&str; 5] = [
    "password",
    "token",
    "mail.password",
    "mail.token",
    "keys.deploy",
];

fn load(file: &str, variables: &[(&str, &str)], secret: &str) -> Settings {
    let config = load_section::<Settings>(file, variables, secret);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    config.app.get::<Settings>().clone()
}

fn mistake(file: &str, variables: &[(&str, &str)], secret: &str) -> String {
    let error = load_section::<Settings>(file, variables, secret).unwrap_err();
    let error = error.to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

fn secret<'a>(settings: &'a Settings, key: &str) -> Option<&'a str> {
    let secret = match key {
        "password" => Some(&settings.password),
        "token" => settings.token.as_ref(),
        "mail.password" => Some(&settings.mail.password),
        "mail.token" => settings.mail.token.as_ref(),
        "keys.deploy" => settings.keys.get("deploy"),
        _ => panic!("{key}"),
    };
    secret.map(Secret::expose)
}

fn variable(key: &str) -> String {
    format!("DAYBOOK_APP__{}", key.replace('.', "__").to_uppercase())
}

#[test]
fn a_secret_that_is_not_set_has_its_default() {
    let settings = load("", &[], "");
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.token, None);
}

#[test]
fn a_secret_comes_from_its_value_or_from_a_file_without_its_last_newline() {
    for key in KEYS {
        let value = format!("app.{key} = 'in the file'");
        let file = format!("app.{key}_file = 'secret'");
        let (value_variable, file_variable) = (variable(key), variable(&format!("{key}_file")));
        let value_variable = [(value_variable.as_str(), "007")];
        let file_variable = [(file_variable.as_str(), "secret")];

        assert_eq!(secret(&load(&value, &[], ""), key), Some("in the file"));
        assert_eq!(secret(&load(&value, &value_variable, ""), key), Some("007"));
        for (text, expected) in [("a", "a"), ("a\n", "a"), (" a\n\n", " a\n"), ("\n", "")] {
            assert_eq!(secret(&load(&file, &[], text), key), Some(expected));
            assert_eq!(secret(&load("", &file_variable, text), key), Some(expected));
        }
    }
}

#[test]
fn a_section_that_is_none_by_default_may_have_a_secret_from_a_file() {
    let relay = |password: &str, token: Option<&str>| {
        Some(Mail {
            host: "mx".into(),
            password: password.into(),
            token: token.map(Secret::from),
        })
    };
    let file = "[app.relay]\nhost = 'mx'\npassword_file = 'secret'";
    assert_eq!(load(file, &[], "a").relay, relay("a", None));
    let variables = [
        ("DAYBOOK_APP__RELAY__HOST", "mx"),
        ("DAYBOOK_APP__RELAY__PASSWORD", "b"),
        ("DAYBOOK_APP__RELAY__TOKEN_FILE", "secret"),
    ];
    assert_eq!(load("", &variables, "a").relay, relay("b", Some("a")));
}

/// The first of its keys has no valid default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Required {
    address: Address,
    token: Option<Secret>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(try_from = "String")]
struct Address(String);

impl TryFrom<String> for Address {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.contains('@') {
            true => Ok(Self(text)),
            false => Err("write an address"),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Flattened {
    title: String,
    #[serde(flatten)]
    mail: Mail,
}

#[test]
fn a_secret_is_found_beside_a_key_without_a_valid_default_and_in_a_flattened_struct() {
    let file = "[app]\naddress = 'a@b'\ntoken_file = 'secret'";
    let config = load_section::<Required>(file, &[], "a").unwrap();
    let required: &Required = config.app.get();
    assert_eq!(required.token, Some("a".into()));

    let file = "[app]\npassword_file = 'secret'\ntoken_file = 'secret'";
    let config = load_section::<Flattened>(file, &[], "a").unwrap();
    let Flattened { mail, .. } = config.app.get();
    assert_eq!(
        (&mail.password, &mail.token),
        (&"a".into(), &Some("a".into()))
    );
}

#[test]
fn both_a_value_and_a_file_are_refused() {
    for key in KEYS {
        let file_variable = variable(&format!("{key}_file"));
        let message = mistake(
            &format!("app.{key} = 'hunter2'"),
            &[(&file_variable, "secret")],
            "",
        );
        assert!(
            message.starts_with(&format!("{file_variable}: the secret is also set by ")),
            "{message}"
        );
        let place = format!("/daybook.toml:1: app.{key}: remove one of them");
        assert!(message.ends_with(&place), "{message}");

        let both = format!("app.{key} = 'hunter2'\napp.{key}_file = 'secret'");
        let message = mistake(&both, &[], "");
        assert!(
            message.contains(&format!("/daybook.toml:2: app.{key}_file: the secret")),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_mistake_about_a_secret_is_reported_without_its_text() {
    for key in KEYS {
        let message = mistake(&format!("app.{key}_file = '/nowhere/secret'"), &[], "");
        let place = format!("/daybook.toml:1: app.{key}_file: ");
        assert!(
            message.contains(&place)
                && message.contains("cannot read \"/nowhere/secret\": No such"),
            "{message}"
        );

        let message = mistake(&format!("app.{key}_file = 'secret'"), &[], "***\n");
        assert!(
            message.contains(&place) && message.contains("write the secret itself"),
            "{message}"
        );

        let message = mistake(&format!("app.{key} = '***'"), &[], "");
        assert!(
            message.contains(&format!("/daybook.toml:1: app.{key}: \"***\" is printed")),
            "{message}"
        );
    }
}

#[test]
fn only_a_secret_comes_from_a_file() {
    for (file, words) in [
        (
            "app.from_file = 'secret'",
            ":1: app.from_file: there is no such key",
        ),
        (
            "app.limit_file = 'secret'",
            ":1: app.limit_file: there is no such key",
        ),
        (
            "app.mail.host_file = 'secret'",
            ":1: app.mail.host_file: there is no such key",
        ),
        (
            "app.relay.host_file = 'secret'",
            ":1: app.relay.host_file: there is no such key",
        ),
    ] {
        let message = mistake(file, &[], "");
        assert!(message.contains(words), "{message}");
    }
    let message = mistake("app.tokn_file = 'secret'", &[], "");
    assert!(
        message.ends_with("did you mean `app.token_file`?"),
        "{message}"
    );
}

#[test]
fn no_output_shows_a_secret() {
    let file = "app.token = 'hunter2'\napp.mail = { host = 'mx', password = 'hunter2' }";
    let config = load_section::<Settings>(file, &[], "").unwrap();
    let settings: &Settings = config.app.get();
    assert_eq!(secret(settings, "token"), Some("hunter2"));
    let json = serde_json::to_string(settings).unwrap();
    for shown in [
        format!("{settings:?}"),
        format!("{config:?}"),
        json,
        config.to_toml(),
    ] {
        assert!(
            shown.contains("***") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
    assert!(
        config
            .to_toml()
            .contains("\n[app.mail]\nhost = \"mx\"\npassword = \"***\"\n")
    );
}

#[test]
fn the_printed_defaults_have_secrets_as_comments() {
    let toml = default_toml(Some(SectionType::of::<Settings>())).unwrap();
    assert!(toml.contains("\n# password = \"***\"\n"), "{toml}");
    assert_eq!(load(&toml, &[], ""), Settings::default());
}
