//! The most frequent values of a column, of many rows in bounded memory: a path has up to 64 KiB, so only a hash of each is
//! kept, and the id of a row that has it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::Serialize;

/// A value and how often it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct TopValue {
    /// Null: these requests have none.
    pub value: Option<String>,
    pub requests: u64,
}

#[derive(Default)]
pub(super) struct Top {
    hasher: RandomState,
    counts: HashMap<u64, Found>,
}

struct Found {
    requests: u64,
    id: i64,
}

impl Top {
    /// Counts the value of the row with this id.
    pub fn add(&mut self, id: i64, value: Option<&[u8]>) {
        let hash = self.hasher.hash_one(value);
        let found = self.counts.entry(hash).or_insert(Found { requests: 0, id });
        found.requests += 1;
    }

    /// The `limit` most frequent values, which are in `column`.
    pub fn values(
        self,
        connection: &Connection,
        column: &str,
        limit: usize,
    ) -> rusqlite::Result<Vec<TopValue>> {
        let mut found: Vec<Found> = self.counts.into_values().collect();
        // Always the same order of equals.
        found.sort_unstable_by_key(|found| (std::cmp::Reverse(found.requests), found.id));
        found.truncate(limit);
        let sql = format!("select {column} from requests where id = ?");
        let mut statement = connection.prepare_cached(&sql)?;
        let value = |found: Found| {
            let value =
                statement.query_row([found.id], |row| Ok(bytes(row.get_ref(0)?).map(text)))?;
            Ok(TopValue {
                value,
                requests: found.requests,
            })
        };
        found.into_iter().map(value).collect()
    }
}

/// The bytes of a text; none for null. daybook writes no numbers there.
pub(super) fn bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
