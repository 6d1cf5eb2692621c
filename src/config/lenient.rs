//! Strings and lists in every form that is accepted: the environment knows only text, and people write `replica = 1`.

use figment::value::{Dict, Value};
use serde::Deserialize;

/// A string; a bare number or truth value becomes the string it is written as.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct LenientString(pub String);

impl TryFrom<Value> for LenientString {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        // `{:?}` keeps the point of 1.0, so that it is not read as a whole number.
        let float = value.to_f64().map(|float| format!("{float:?}"));
        let signed = value.to_i128().map(|number| number.to_string());
        let unsigned = value.to_u128().map(|number| number.to_string());
        let boolean = value.to_bool().map(|boolean| boolean.to_string());
        (value.into_string())
            .or(float)
            .or(signed)
            .or(unsigned)
            .or(boolean)
            .map(Self)
            .ok_or("one value is expected: write text in quotes, a number, true or false")
    }
}

/// A list of strings; one string is a list of one, and the empty string an empty list.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct LenientList(pub Vec<String>);

impl TryFrom<Value> for LenientList {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let strings = list_items(value)?.into_iter().map(LenientString::try_from);
        let strings: Result<_, _> = strings.map(|item| item.map(|text| text.0)).collect();
        Ok(Self(strings?))
    }
}

/// The items of a list, or of a text that is a list of one or several.
pub fn list_items(value: Value) -> Result<Vec<Value>, String> {
    if let Value::Array(_, items) = value {
        return Ok(items);
    }
    let LenientString(text) = value.try_into()?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    // A listener such as [::1]:8080 is no list.
    if !(text.starts_with('[') && text.ends_with(']')) {
        return Ok(vec![text.into()]);
    }
    let mut table: Dict = toml::from_str(&format!("list = {text}")).unwrap_or_default();
    match table.remove("list") {
        Some(Value::Array(_, items)) => Ok(items),
        _ => Err(format!(
            "{text:?} is not a list: write one value as it is, or several as [\"a\", \"b\"]"
        )),
    }
}
