//! The events of a stream, and their form as server-sent events.

use serde::{Deserialize, Serialize};

use crate::store::StoredRecord;

/// One event. The command line prints and reads it as JSON with the key `event`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    /// A record.
    Request(StoredRecord),
    /// The outcome of a record that was shown without one.
    Outcome {
        id: i64,
        status: Option<i64>,
        duration_us: Option<i64>,
    },
    /// Records that were left out.
    Gap(Gap),
}

/// Records that were left out: at most `count`, with ids in this range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Gap {
    pub from_id: i64,
    pub to_id: i64,
    pub count: u64,
}

impl Event {
    /// The name in `event:`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Outcome { .. } => "outcome",
            Self::Gap(_) => "gap",
        }
    }

    /// Its newest record.
    pub fn id(&self) -> i64 {
        match self {
            Self::Request(record) => record.id,
            Self::Outcome { id, .. } => *id,
            Self::Gap(gap) => gap.to_id,
        }
    }

    /// Writes it for a client that knows all up to `last_id`, which becomes the client's `Last-Event-ID`: it never falls.
    pub fn write_to(&self, out: &mut Vec<u8>, last_id: &mut i64) {
        let data = match self {
            Self::Request(record) => serde_json::to_string(record),
            Self::Outcome {
                id,
                status,
                duration_us,
            } => serde_json::to_string(&serde_json::json!({
                "id": id, "status": status, "duration_us": duration_us,
            })),
            Self::Gap(gap) => serde_json::to_string(gap),
        };
        let data = data.expect("these types have a JSON form, without newlines");
        let mut text = format!("event: {}\ndata: {data}\n", self.name());
        if self.id() > *last_id {
            *last_id = self.id();
            text.push_str(&format!("id: {last_id}\n"));
        }
        text.push('\n');
        out.extend_from_slice(text.as_bytes());
    }
}

impl Gap {
    /// All ids of a range.
    pub fn of(ids: std::ops::RangeInclusive<i64>) -> Self {
        Self {
            from_id: *ids.start(),
            to_id: *ids.end(),
            count: ids.end().abs_diff(*ids.start()).saturating_add(1),
        }
    }

    /// The gap that covers both.
    pub fn with(self, other: Self) -> Self {
        Self {
            from_id: self.from_id.min(other.from_id),
            to_id: self.to_id.max(other.to_id),
            count: self.count.saturating_add(other.count),
        }
    }
}
