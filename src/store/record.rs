//! The record of a request. This is the one place that knows the columns of `requests`. A new column needs a field in
//! both structs, its name in [`COLUMNS`], its value in `bind`, its decoding in `read`, and a migration in `schema.rs`.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::Method;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// The columns after `id`, in the order in which [`Record::bind`] binds them.
const COLUMNS: [&str; 7] = [
    "timestamp",
    "method",
    "path",
    "content_length",
    "remote_addr",
    "status",
    "duration_us",
];

/// The record of one request, to be appended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// When the request's head had arrived, in Unix seconds with a fraction.
    pub timestamp: f64,
    pub method: Method,
    /// The target's path as sent, without the query.
    pub path: String,
    /// Bytes of the body that were read.
    pub content_length: u64,
    /// The client; none over a unix socket without a proxy.
    pub remote_addr: Option<IpAddr>,
    /// None while the handler runs: if its own write carries the record, the outcome follows.
    pub outcome: Option<RequestOutcome>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestOutcome {
    /// The status that the client was sent.
    pub status: u16,
    /// From the head's arrival to the handler's end, with the waits for its own writes; without the record's commit.
    pub duration: Duration,
}

/// The outcome of a request whose record is already committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LateOutcome {
    /// The record's id.
    pub id: i64,
    pub outcome: RequestOutcome,
}

/// A row of `requests`, as read and as the read API prints it. Other programs write rows too, and SQLite lets any
/// column hold any type: a value of another type must not hide its page.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[schema(as = Request, description = "A recorded request.")]
pub(crate) struct StoredRecord {
    pub id: i64,
    /// Unix seconds, in JSON as RFC 3339; none where the value is not a number. (SQLite reads an integer in a column of
    /// type `real` as a real number.)
    #[serde(serialize_with = "rfc3339", deserialize_with = "from_rfc3339")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub timestamp: Option<f64>,
    pub method: String,
    pub path: String,
    /// 0 where the value is not an integer.
    pub content_length: i64,
    pub remote_addr: Option<String>,
    /// Null: the request came from another program, had no response yet, or its end is not known.
    pub status: Option<i64>,
    /// Microseconds; null as `status`.
    pub duration_us: Option<i64>,
}

impl Record {
    /// Binds the record as row number `row`, counted from 0, of an [`insert_sql`] statement.
    pub(super) fn bind(&self, statement: &mut Statement<'_>, row: usize) -> rusqlite::Result<()> {
        let remote_addr = self.remote_addr.map(address_text);
        let mut parameter = row * COLUMNS.len();
        let mut next = || {
            parameter += 1;
            parameter
        };
        statement.raw_bind_parameter(next(), self.timestamp)?;
        statement.raw_bind_parameter(next(), self.method.as_str())?;
        statement.raw_bind_parameter(next(), self.path.as_str())?;
        statement.raw_bind_parameter(next(), self.content_length as i64)?;
        statement.raw_bind_parameter(next(), remote_addr)?;
        statement.raw_bind_parameter(next(), self.outcome.map(|outcome| outcome.status))?;
        statement.raw_bind_parameter(next(), self.outcome.map(RequestOutcome::duration_us))
    }
}

impl RequestOutcome {
    fn duration_us(self) -> i64 {
        i64::try_from(self.duration.as_micros()).unwrap_or(i64::MAX)
    }
}

impl LateOutcome {
    /// Adds it to the row, if that is still there.
    pub(super) fn update(self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "update requests set status = ?, duration_us = ? where id = ?";
        let outcome = self.outcome;
        connection
            .prepare_cached(sql)?
            .execute((outcome.status, outcome.duration_us(), self.id))
            .map(drop)
    }
}

impl StoredRecord {
    /// Reads a row of a [`select_sql`] statement.
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            timestamp: match row.get_ref("timestamp")? {
                ValueRef::Real(seconds) => Some(seconds),
                _ => None,
            },
            method: text(row.get_ref("method")?).unwrap_or_default(),
            path: text(row.get_ref("path")?).unwrap_or_default(),
            content_length: row.get_ref("content_length")?.as_i64().unwrap_or_default(),
            remote_addr: text(row.get_ref("remote_addr")?),
            status: row.get_ref("status")?.as_i64_or_null().unwrap_or(None),
            duration_us: row.get_ref("duration_us")?.as_i64_or_null().unwrap_or(None),
        })
    }
}

/// A statement that inserts that many records.
pub(super) fn insert_sql(rows: usize) -> String {
    let columns = COLUMNS.join(", ");
    let row = format!("({})", ["?"; COLUMNS.len()].join(", "));
    let rows = vec![row; rows].join(", ");
    format!("insert into requests ({columns}) values {rows}")
}

/// A statement that reads the records for which `condition` holds: all that follows `where`.
/// An index of another program would not keep the order of ids, so no index is used.
pub(crate) fn select_sql(condition: &str) -> String {
    let columns = COLUMNS.join(", ");
    format!("select id, {columns} from requests not indexed where {condition}")
}

/// As the standard library writes it; without its formatting, which took an eighth of the writer's instructions.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    let mut digits = itoa::Buffer::new();
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(digits.format(octet));
    }
    text
}

/// A value as text; none for null.
fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// Null where a foreign writer's number is out of range.
fn rfc3339<S: Serializer>(seconds: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    seconds
        .and_then(|seconds| jiff::Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok())
        .map(|time| format!("{time:.6}"))
        .serialize(serializer)
}

/// The command line reads what another replica has printed.
fn from_rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
    Ok(Some(time.as_microsecond() as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::DatabaseInfo;
    use proptest::prelude::*;

    const OUTCOME: RequestOutcome = RequestOutcome {
        status: 204,
        duration: Duration::from_millis(1500),
    };

    fn record(path: &str, remote_addr: Option<IpAddr>, outcome: Option<RequestOutcome>) -> Record {
        Record {
            timestamp: 1.5,
            method: Method::PUT,
            path: path.to_owned(),
            content_length: 7,
            remote_addr,
            outcome,
        }
    }

    #[test]
    fn every_column_is_read_back_as_it_was_bound() {
        let connection = Connection::open_in_memory().expect("a database in memory");
        let database = DatabaseInfo::read(&connection).expect("an empty database");
        for migration in database.pending() {
            migration.run(&connection).expect("a migration");
        }
        let client = "10.1.2.3".parse().expect("an address");
        let records = [
            record("/1", Some(client), Some(OUTCOME)),
            record("/2", None, None),
        ];
        let mut insert = connection.prepare(&insert_sql(2)).expect("an insert");
        for (row, record) in records.iter().enumerate() {
            record.bind(&mut insert, row).expect("binding");
        }
        assert_eq!(insert.raw_execute().expect("inserting"), 2);
        let stored: Vec<StoredRecord> = connection
            .prepare(&select_sql("id > 0"))
            .and_then(|mut rows| rows.query_map([], StoredRecord::read)?.collect())
            .expect("reading");
        let expected =
            |id, path: &str, remote_addr: Option<&str>, has_outcome: bool| StoredRecord {
                id,
                timestamp: Some(1.5),
                method: "PUT".to_owned(),
                path: path.to_owned(),
                content_length: 7,
                remote_addr: remote_addr.map(str::to_owned),
                status: has_outcome.then_some(204),
                duration_us: has_outcome.then_some(1_500_000),
            };
        assert_eq!(
            stored,
            [
                expected(1, "/1", Some("10.1.2.3"), true),
                expected(2, "/2", None, false)
            ]
        );
    }

    proptest! {
        #[test]
        fn an_address_is_written_as_the_standard_library_writes_it(address: IpAddr) {
            prop_assert_eq!(address_text(address), address.to_string());
        }
    }
}
