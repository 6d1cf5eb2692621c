//! Records as NDJSON or CSV.

use super::Format;
use crate::query::Time;
use crate::store::StoredRecord;

pub(super) const CSV_HEADER: &str =
    "id,timestamp,method,path,content_length,remote_addr,status,duration_us\n";

/// Encodes one page after another into the same memory.
pub(super) struct Encoder {
    format: Format,
    needs_header: bool,
}

impl Encoder {
    /// `is_first`: nothing has been written.
    pub fn new(format: Format, is_first: bool) -> Self {
        Self {
            format,
            needs_header: is_first && format == Format::Csv,
        }
    }

    /// The text of these records, which comes after all texts before.
    pub fn encode(&mut self, records: &[StoredRecord]) -> Vec<u8> {
        let mut text = Vec::new();
        if std::mem::take(&mut self.needs_header) {
            text.extend_from_slice(CSV_HEADER.as_bytes());
        }
        match self.format {
            Format::Ndjson => {
                for record in records {
                    serde_json::to_writer(&mut text, record).expect("a record has a JSON form");
                    text.push(b'\n');
                }
                text
            }
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(text);
                for record in records {
                    writer
                        .write_record(cells(record))
                        .expect("a vector has room");
                }
                writer.into_inner().expect("a vector has room")
            }
        }
    }
}

fn cells(record: &StoredRecord) -> [String; 8] {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let time = record.timestamp.and_then(Time::from_seconds);
    [
        record.id.to_string(),
        time.map(|time| time.to_string()).unwrap_or_default(),
        harmless(&record.method),
        harmless(&record.path),
        record.content_length.to_string(),
        harmless(record.remote_addr.as_deref().unwrap_or_default()),
        number(record.status),
        number(record.duration_us),
    ]
}

/// A spreadsheet takes a cell that begins like this for a formula (owasp.org, "CSV Injection").
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_csv_is_quoted_and_no_formula() {
        for (text, cell) in [
            ("/plain", "/plain"),
            ("/a,\"b\"", "\"/a,\"\"b\"\"\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("", ""),
        ] {
            let record = StoredRecord {
                id: 1,
                timestamp: None,
                method: "GET".to_owned(),
                path: text.to_owned(),
                content_length: 0,
                remote_addr: None,
                status: None,
                duration_us: None,
            };
            let csv = Encoder::new(Format::Csv, false).encode(&[record]);
            assert_eq!(
                String::from_utf8(csv).expect("text"),
                format!("1,,GET,{cell},0,,,\n")
            );
        }
    }
}
