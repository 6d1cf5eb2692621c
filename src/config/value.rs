//! The types of the configuration's values.
//!
//! The environment knows only text, and people write `replica = 1`. So every value is taken as text first, whatever
//! its type in TOML, and read from that.

use super::duration;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use std::{fmt, time::Duration};

/// Text; a bare number or truth value counts as the text it is written as.
#[derive(Debug, Serialize)]
pub(super) struct Text(pub String);

#[derive(Debug, Deserialize, Serialize)]
#[serde(try_from = "Text")]
pub(super) struct Flag(pub bool);

#[derive(Debug, Deserialize, Serialize)]
#[serde(try_from = "Text")]
pub(super) struct Count(pub usize);

#[derive(Debug, Deserialize, Serialize)]
#[serde(try_from = "Text")]
pub(super) struct Bytes(pub usize);

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "Text", into = "String")]
pub(super) struct RawDuration(pub Duration);

/// A list, or the one text that stands for a list of one.
#[derive(Debug, Serialize)]
pub(super) struct List(pub Vec<String>);

impl TryFrom<Text> for Flag {
    type Error = String;

    fn try_from(Text(text): Text) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{text:?} is neither true nor false"))
    }
}

impl TryFrom<Text> for Count {
    type Error = String;

    fn try_from(Text(text): Text) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{text:?} is not a number: write a whole number, such as 100"))
    }
}

impl TryFrom<Text> for Bytes {
    type Error = String;

    fn try_from(Text(text): Text) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("{text:?} is not a size: write bytes as a whole number, such as 65536")
        })
    }
}

impl TryFrom<Text> for RawDuration {
    type Error = String;

    fn try_from(Text(text): Text) -> Result<Self, String> {
        duration::parse(&text).map(Self)
    }
}

impl From<RawDuration> for String {
    fn from(RawDuration(duration): RawDuration) -> Self {
        duration::format(duration)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Text, E> {
        Ok(Text(flag.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
        // Debug keeps the point of `1.0`, so that it is not taken for a whole number.
        Ok(Text(format!("{number:?}")))
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one text or a list of texts, such as [\"a\", \"b\"]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<List, A::Error> {
        let texts = Vec::<Text>::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(List(texts.into_iter().map(|text| text.0).collect()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List, E> {
        if text.is_empty() {
            return Ok(List(Vec::new()));
        }
        // `[::1]:8080` begins like a list and is none.
        if !(text.starts_with('[') && text.ends_with(']')) {
            return Ok(List(vec![text.to_owned()]));
        }
        #[derive(Deserialize)]
        struct Wrapped {
            list: List,
        }
        let wrapped = toml::from_str::<Wrapped>(&format!("list = {text}"));
        wrapped.map(|wrapped| wrapped.list).map_err(|_| {
            E::custom(format!(
                "{text:?} is not a list: write one text as it is, or several as [\"a\", \"b\"]"
            ))
        })
    }

    fn visit_i64<E>(self, number: i64) -> Result<List, E> {
        Ok(List(vec![number.to_string()]))
    }
}
