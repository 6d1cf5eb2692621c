//! Reads the server-sent events of `/api/stream`.

use crate::admin::stream::Event;

/// Takes the bytes of a stream as they come.
#[derive(Default)]
pub(super) struct Parser {
    /// The part of a line that has come.
    line: Vec<u8>,
    event: String,
    data: String,
}

impl Parser {
    /// The events that are complete now. Unknown ones of a later version are left out.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Result<Event, serde_json::Error>> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(self.line(String::from_utf8_lossy(&line).trim_end()));
            }
        }
        events
    }

    /// An empty line ends an event.
    fn line(&mut self, line: &str) -> Option<Result<Event, serde_json::Error>> {
        if let Some(name) = line.strip_prefix("event: ") {
            self.event = name.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            self.data = data.to_owned();
        } else if line.is_empty() && !self.data.is_empty() {
            let data = std::mem::take(&mut self.data);
            return event(&self.event, &data).transpose();
        }
        None
    }
}

fn event(name: &str, data: &str) -> Result<Option<Event>, serde_json::Error> {
    if !matches!(name, "request" | "outcome" | "gap") {
        return Ok(None);
    }
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(data)?;
    fields.insert("event".to_owned(), name.into());
    serde_json::from_value(fields.into()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::stream::Gap;

    #[test]
    fn events_are_read_from_pieces_of_any_size() {
        let text = "retry: 1000\n\n:\n\nevent: gap\ndata: {\"from_id\":1,\"to_id\":3,\"count\":3}\nid: 3\n\n\
            event: later\ndata: {}\n\nevent: outcome\ndata: {\"id\":4,\"status\":200,\"duration_us\":null}\n\n";
        let expected = [
            Event::Gap(Gap::of(1..=3)),
            Event::Outcome {
                id: 4,
                status: Some(200),
                duration_us: None,
            },
        ];
        for size in [1, 2, 7, 1000] {
            let mut parser = Parser::default();
            let pieces = text.as_bytes().chunks(size);
            let events: Vec<Event> = pieces
                .flat_map(|piece| parser.push(piece))
                .map(|event| event.expect("JSON"))
                .collect();
            assert_eq!(events, expected, "{size}");
        }
        assert!(Parser::default().push(b"event: gap\ndata: x\n\n")[0].is_err());
    }
}
