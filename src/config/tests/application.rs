//! The application's own section: its keys are known, its values lenient, its mistakes reported like daybook's own.
//! `secrets` has its secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::*;
use super::load_section;

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct Settings {
    title: String,
    port: u16,
    ratio: f64,
    public: bool,
    hosts: Vec<String>,
    limit: Option<u32>,
    labels: BTreeMap<String, String>,
    colour: Colour,
    mail: Mail,
    feeds: Vec<Feed>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Green,
    Mixed { red: u8, green: u8 },
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct Mail {
    from: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct Feed {
    url: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: "Guestbook".into(),
            port: 25,
            ratio: 0.5,
            public: true,
            hosts: vec!["a".into()],
            limit: None,
            labels: BTreeMap::new(),
            colour: Colour::Red,
            mail: Mail {
                from: "a@example.com".into(),
            },
            feeds: Vec::new(),
        }
    }
}

fn load(file: &str, variables: &[(&str, &str)]) -> Settings {
    let config = load_section::<Settings>(file, variables, "");
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    config.app.get::<Settings>().clone()
}

fn mistake(file: &str, variables: &[(&str, &str)]) -> String {
    let error = load_section::<Settings>(file, variables, "").unwrap_err();
    let error = error.to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn without_a_section_the_defaults_are_the_type_s() {
    assert_eq!(load("", &[]), Settings::default());
    assert_eq!(load("[app]", &[]), Settings::default());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = "[app]\ntitle = 'File'\nport = 1\n[app.mail]\nfrom = 'b@example.com'";
    let found = load(file, &[("DAYBOOK_APP__PORT", "2")]);
    let expected = Settings {
        title: "File".into(),
        port: 2,
        mail: Mail {
            from: "b@example.com".into(),
        },
        ..Settings::default()
    };
    assert_eq!(found, expected);
}

#[test]
fn the_type_of_a_field_decides_what_a_value_means() {
    let file = r#"
        [app]
        title = 5
        port = "26"
        ratio = "1"
        public = "false"
        hosts = "one"
        limit = "7"
        labels = { team = 1 }
        colour = "green"
        feeds = [{ url = 1.0 }]
    "#;
    let variables = [
        ("DAYBOOK_APP__TITLE", "5"),
        ("DAYBOOK_APP__PORT", "26"),
        ("DAYBOOK_APP__RATIO", "1"),
        ("DAYBOOK_APP__PUBLIC", "false"),
        ("DAYBOOK_APP__HOSTS", "one"),
        ("DAYBOOK_APP__LIMIT", "7"),
        ("DAYBOOK_APP__LABELS__TEAM", "1"),
        ("DAYBOOK_APP__COLOUR", "green"),
    ];
    let expected = Settings {
        title: "5".into(),
        port: 26,
        ratio: 1.0,
        public: false,
        hosts: vec!["one".into()],
        limit: Some(7),
        labels: [("team".into(), "1".into())].into(),
        colour: Colour::Green,
        mail: Settings::default().mail,
        feeds: vec![Feed { url: "1.0".into() }],
    };
    assert_eq!(load(file, &[]), expected);
    let without_feeds = Settings {
        feeds: Vec::new(),
        ..expected
    };
    assert_eq!(load("", &variables), without_feeds);

    let lists = [("['a', 2]", &["a", "2"][..]), ("", &[]), ("[]", &[])];
    for (text, list) in lists {
        assert_eq!(load("", &[("DAYBOOK_APP__HOSTS", text)]).hosts, list);
    }
}

#[test]
fn a_wrong_value_is_reported_with_its_place_and_a_valid_one() {
    for (key, value, right) in [
        ("title", "['a']", "write text in quotes"),
        (
            "port",
            "'smtp'",
            "\"smtp\" is not valid: write a whole number from 0 to 65535",
        ),
        ("port", "65536", "\"65536\" is not valid"),
        ("port", "1.5", "whole number"),
        ("ratio", "'half'", "write a number"),
        ("public", "'yes'", "true or false"),
        ("limit", "-1", "from 0 to 4294967295"),
        ("colour", "'blue'", "write one of \"red\", \"green\""),
        ("labels", "5", "this is a section"),
    ] {
        let message = mistake(&format!("[app]\n# two\n{key} = {value}"), &[]);
        let place = format!("/daybook.toml:3: app.{key}: ");
        assert!(
            message.contains(&place) && message.contains(right),
            "{message}"
        );

        let name = format!("DAYBOOK_APP__{}", key.replace('.', "__").to_uppercase());
        let value = value.trim_matches('\'');
        if !value.starts_with('[') {
            let message = mistake("", &[(&name, value)]);
            assert!(message.starts_with(&format!("{name}: ")), "{message}");
            assert!(message.contains(right), "{message}");
        }
    }
    let message = mistake("[[app.feeds]]\nurl = []", &[]);
    assert!(
        message.contains("/daybook.toml:1: app.feeds: one value"),
        "{message}"
    );
}

#[test]
fn an_unknown_key_is_reported_with_the_one_that_was_meant() {
    for (file, words) in [
        (
            "[app]\n\nprot = 1",
            ":3: app.prot: there is no such key: did you mean `app.port`?",
        ),
        (
            "app.mail.form = 'a'",
            ":1: app.mail.form: there is no such key: did you mean `app.mail.from`?",
        ),
        (
            "[app]\nfrom = 'a'",
            ":2: app.from: there is no such key: did you mean `app.mail.from`?",
        ),
        (
            "title = 'a'",
            ":1: title: there is no such key: did you mean `app.title`?",
        ),
        (
            "[app]\nnonsense = 1",
            ":2: app.nonsense: there is no such key: `guestbook config --default` prints all keys",
        ),
        (
            "app = 5",
            ":1: app: this is a section: write [app] and its keys below it",
        ),
        (
            "[app]\nmail = 5",
            ":2: app.mail: this is a section: write [app.mail]",
        ),
        (
            "[[app.feeds]]\nurl = 'a'\nuri = 'b'",
            ":1: app.feeds: there is no such key",
        ),
    ] {
        let message = mistake(file, &[]);
        assert!(
            message.contains(&format!("/daybook.toml{words}")),
            "{message}"
        );
    }
    for (name, words) in [
        ("DAYBOOK_APP__PROT", "did you mean DAYBOOK_APP__PORT?"),
        ("DAYBOOK_APP_PORT", "did you mean DAYBOOK_APP__PORT?"),
        (
            "DAYBOOK_APP__MAIL_FROM",
            "did you mean DAYBOOK_APP__MAIL__FROM?",
        ),
        ("DAYBOOK_APP", "no such key"),
    ] {
        let message = mistake("", &[(name, "1")]);
        assert!(message.starts_with(&format!("{name}: ")), "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn without_a_type_the_section_is_unknown() {
    for (file, variable, origin) in [
        ("[app]\ntitle = 'a'", "", "daybook.toml:1: app: "),
        ("", "DAYBOOK_APP__TITLE", "DAYBOOK_APP__TITLE: "),
    ] {
        let variables = [(variable, "a")];
        let message = super::load_with(file, &variables).unwrap_err().to_string();
        assert!(message.contains(origin), "{message}");
        assert!(
            message.contains("this application has no settings of its own"),
            "{message}"
        );
    }
}

#[test]
fn configurations_with_other_values_of_the_application_differ() {
    let with = |file| load_section::<Settings>(file, &[], "").ok();
    assert_eq!(with("[app]\ntitle = 'a'"), with("[app]\ntitle = 'a'"));
    assert_ne!(with("[app]\ntitle = 'a'"), with("[app]\ntitle = 'b'"));
}

#[test]
fn the_printed_defaults_load_back_to_the_same() {
    let toml = default_toml(Some(SectionType::of::<Settings>())).unwrap();
    assert!(
        toml.starts_with(DEFAULT_TOML) && toml.contains("\n[app]\ntitle = \"Guestbook\"\n"),
        "{toml}"
    );
    assert_eq!(load(&toml, &[]), Settings::default());
}

#[test]
#[should_panic(expected = "the application declares another type: use `Context::")]
fn another_type_s_values_cannot_be_had() {
    load_section::<Settings>("", &[], "")
        .unwrap()
        .app
        .get::<String>();
}

#[test]
#[should_panic(expected = "add `.config::<alloc::string::String>()` to its App")]
fn values_that_were_not_declared_cannot_be_had() {
    super::load_with("", &[]).unwrap().app.get::<String>();
}

#[test]
fn a_type_that_is_no_section_is_refused() {
    let error = load_section::<u32>("", &[], "").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("[app]: `App::config::<u32>`: "),
        "{error}"
    );
    assert!(
        error.to_string().contains("no struct with named fields"),
        "{error}"
    );
}

#[test]
fn a_field_of_any_type_keeps_the_type_of_its_value() {
    #[derive(Debug, Default, Deserialize, Serialize)]
    struct Anything {
        values: Vec<serde_json::Value>,
        colours: Vec<Colour>,
    }
    let file = "[app]\nvalues = [-1, 1, 1.5, true, 'text', { key = 2 }]
        colours = ['red', { mixed = { red = 1, green = '2' } }]";
    let config = load_section::<Anything>(file, &[], "").expect("a section");
    let values = serde_json::json!([-1, 1, 1.5, true, "text", { "key": 2 }]);
    assert_eq!(
        serde_json::to_value(&config.app.get::<Anything>().values).ok(),
        Some(values)
    );
    let colours = [Colour::Red, Colour::Mixed { red: 1, green: 2 }];
    assert_eq!(config.app.get::<Anything>().colours, colours);
}
