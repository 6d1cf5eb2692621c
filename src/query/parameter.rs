//! The parameters of a question, and a wrong one: which it is, and what would be right.

/// Longer values are cut in messages.
const VALUE_CHARS_MAX: usize = 100;

/// The description of a parameter: for the page of the read API, and for the help of the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub name: &'static str,
    /// Its meaning.
    pub help: &'static str,
    /// A regular expression of ECMA 262: all its texts are good values.
    pub pattern: Option<&'static str>,
    /// Whether it may be there more than once.
    pub is_repeatable: bool,
}

/// A parameter that cannot be used. The message names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ParameterError {
    /// The parameter's name.
    pub parameter: String,
    message: String,
}

impl ParameterError {
    /// `instead` says what would be right: "use a number from 1".
    pub fn new(parameter: &str, value: &str, instead: &str) -> Self {
        Self {
            message: format!("{}={}: {instead}", printable(parameter), printable(value)),
            parameter: printable(parameter),
        }
    }

    /// The parameter may be given once.
    pub fn repeated(parameter: &str) -> Self {
        Self {
            message: format!("{parameter} is there twice: use it once"),
            parameter: printable(parameter),
        }
    }
}

/// Takes the value of a parameter that may be given once.
pub(super) fn set_once<T>(
    name: &str,
    place: &mut Option<T>,
    value: T,
) -> Result<(), ParameterError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParameterError::repeated(name)),
    }
}

/// No parameter has this name; `known` are all that there are.
pub(crate) fn unknown<'a>(
    parameter: &str,
    known: impl IntoIterator<Item = &'a Parameter>,
) -> ParameterError {
    let known: Vec<&str> = known.into_iter().map(|known| known.name).collect();
    let known = match known.is_empty() {
        true => "none".to_owned(),
        false => known.join(", "),
    };
    ParameterError {
        message: format!(
            "there is no parameter {}: use {known}",
            printable(parameter)
        ),
        parameter: printable(parameter),
    }
}

/// Without control characters, and not longer than [`VALUE_CHARS_MAX`].
fn printable(value: &str) -> String {
    let mut chars = value.chars();
    let mut text: String = chars
        .by_ref()
        .take(VALUE_CHARS_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if chars.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_parameter_and_cuts_a_long_value() {
        let error = ParameterError::new("limit", "x\n1", "use a number");
        assert_eq!(error.to_string(), "limit=x\u{fffd}1: use a number");
        let error = ParameterError::new("q", &"ä".repeat(101), "shorten it");
        let expected = format!("q={}…: shorten it", "ä".repeat(100));
        assert_eq!(error.to_string(), expected);
    }
}
