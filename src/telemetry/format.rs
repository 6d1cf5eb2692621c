//! Formats an event as one line, JSON or text. Both have the same fields.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

pub(super) struct LineFormat {
    is_json: bool,
    replica: String,
}

impl LineFormat {
    pub fn new(is_json: bool, replica: &str) -> Self {
        Self {
            is_json,
            replica: replica.to_owned(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { message, others } = fields;
        let time = format!("{:.6}", jiff::Timestamp::now());
        let level = event.metadata().level();
        if self.is_json {
            let mut object = Map::new();
            object.insert("timestamp".into(), time.into());
            object.insert("level".into(), level.as_str().into());
            object.insert("replica".into(), self.replica.as_str().into());
            object.insert("message".into(), message.into());
            object.extend(others);
            writeln!(line, "{}", Value::Object(object))
        } else {
            write!(line, "{time} {level:>5} {}: {message}", self.replica)?;
            for (name, value) in others {
                match value {
                    Value::String(text) if !text.contains(needs_quotes) => {
                        write!(line, " {name}={text}")?;
                    }
                    value => write!(line, " {name}={value}")?,
                }
            }
            writeln!(line)
        }
    }
}

/// Unquoted, these would hide where the value ends, or start a new line.
fn needs_quotes(character: char) -> bool {
    character == '"' || character.is_whitespace() || character.is_control()
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            // `Debug` prints a list of strings as a JSON array: keep it an array.
            let list = text.starts_with('[').then(|| serde_json::from_str(&text));
            match list {
                Some(Ok(list)) => self.add(field, Value::Array(list)),
                _ => self.add(field, text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn logged(is_json: bool, log: impl FnOnce()) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(Arc::new(file.reopen().unwrap()))
            .event_format(LineFormat::new(is_json, "replica-1"))
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn json_keeps_numbers_truth_values_and_lists() {
        let line = logged(true, || {
            let list = ["a", "b c"];
            tracing::warn!(
                signed = -5,
                unsigned = 5_u64,
                ratio = 0.5,
                is_on = true,
                text = "x",
                ?list,
                "done"
            );
        });
        let mut line: Map<String, Value> = serde_json::from_str(&line).unwrap();
        assert!(
            line.remove("timestamp")
                .is_some_and(|time| time.is_string())
        );
        let expected = serde_json::json!({
            "level": "WARN", "replica": "replica-1", "message": "done",
            "signed": -5, "unsigned": 5, "ratio": 0.5, "is_on": true, "text": "x", "list": ["a", "b c"],
        });
        assert_eq!(Value::Object(line), expected);
    }

    #[test]
    fn text_quotes_only_values_that_would_be_misread() {
        let line = logged(false, || {
            tracing::info!(
                plain = "a=b",
                quote = "a\"b",
                space = "a b",
                control = "a\x1bb",
                number = 5,
                "done"
            );
        });
        let (_, fields) = line.split_once(" replica-1: done ").expect(&line);
        let expected = r#"control="a\u001bb" number=5 plain=a=b quote="a\"b" space="a b""#;
        assert_eq!(fields.trim_end(), expected);
    }
}
