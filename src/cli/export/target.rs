//! Where an export goes: a file, which it can continue, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Stdout, Write, stdout};
use std::path::Path;

use super::encode::CSV_HEADER;
use super::{Failure, Format};
use crate::store::StoredRecord;

/// At the end of a file: longer than the longest line, whose path has 64 KiB, each byte with six characters in JSON.
const TAIL_BYTES: u64 = 1024 * 1024;
/// Every line of NDJSON begins with it.
const JSON_BEGIN: &str = "{\"id\":";

pub(super) enum Target {
    File {
        file: File,
        name: String,
        is_empty: bool,
    },
    Stdout(Stdout),
}

impl Target {
    /// Opens the file, or standard output without one. Returns the id of the last record that the file has.
    pub fn open(path: Option<&Path>, format: Format) -> Result<(Self, Option<i64>), Failure> {
        let Some(path) = path else {
            return Ok((Self::Stdout(stdout()), None));
        };
        let name = path.display().to_string();
        let failed = |error: io::Error| Failure::new(format!("{name}: {error}"), true);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        // A pipe or a device cannot be continued.
        let is_file = file.metadata().map_err(failed)?.is_file();
        let end = match is_file {
            true => end(&mut file, format).map_err(failed)?,
            false => Some(End::default()),
        };
        let Some(end) = end else {
            return Err(Failure::usage(format!(
                "{name}: this file is no export of that format, which could be continued: name another file, or remove it"
            )));
        };
        if is_file {
            file.set_len(end.bytes).map_err(failed)?;
            file.seek(SeekFrom::End(0)).map_err(failed)?;
        }
        let target = Self::File {
            file,
            name,
            is_empty: end.bytes == 0,
        };
        Ok((target, end.last))
    }

    /// Whether nothing was written before.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::File { is_empty, .. } => *is_empty,
            Self::Stdout(_) => true,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::File { name, .. } => name,
            Self::Stdout(_) => "standard output",
        }
    }

    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.write_all(text),
            Self::Stdout(stdout) => stdout.write_all(text).and_then(|()| stdout.flush()),
        }
    }

    /// Returns when a file survives a power failure.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            // A pipe or a device cannot be synced.
            Self::File { file, .. } if file.metadata()?.is_file() => file.sync_all(),
            _ => Ok(()),
        }
    }
}

/// The end of the last complete line.
#[derive(Debug, Default, PartialEq, Eq)]
struct End {
    bytes: u64,
    /// The id of its record, if the line has one.
    last: Option<i64>,
}

/// None if the file is no export of this format.
fn end(file: &mut File, format: Format) -> io::Result<Option<End>> {
    let first_line = match format {
        Format::Csv => CSV_HEADER,
        Format::Ndjson => JSON_BEGIN,
    };
    let mut begin = Vec::new();
    file.take(first_line.len() as u64).read_to_end(&mut begin)?;
    if !first_line.as_bytes().starts_with(&begin) {
        return Ok(None);
    }
    if begin.len() < first_line.len() {
        // Its first write was cut.
        return Ok(Some(End::default()));
    }
    let bytes = file.metadata()?.len();
    let tail_begin = bytes.saturating_sub(TAIL_BYTES);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(tail_begin))?;
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let Some(newline) = tail.iter().rposition(|byte| *byte == b'\n') else {
        return Ok((tail_begin == 0).then(End::default));
    };
    let lines = &tail[..newline];
    let line = lines
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let bytes = tail_begin + newline as u64 + 1;
    let is_header = bytes == first_line.len() as u64 && format == Format::Csv;
    let last = match format {
        _ if is_header => return Ok(Some(End { bytes, last: None })),
        Format::Csv => csv_id(line),
        Format::Ndjson => serde_json::from_slice(line)
            .ok()
            .map(|record: StoredRecord| record.id),
    };
    Ok(last.map(|id| End {
        bytes,
        last: Some(id),
    }))
}

fn csv_id(line: &[u8]) -> Option<i64> {
    let (id, _) = std::str::from_utf8(line).ok()?.split_once(',')?;
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"id":7,"timestamp":null,"method":"GET","path":"/","content_length":0,"remote_addr":null,"status":null,"duration_us":null}"#;

    fn end_of(text: &str, format: Format) -> Option<End> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("writing");
        file.rewind().expect("rewinding");
        end(&mut file, format).expect("reading")
    }

    #[test]
    fn an_export_continues_after_its_last_complete_line() {
        let end = |bytes: usize, last| {
            let bytes = bytes as u64;
            Some(End { bytes, last })
        };
        let header = CSV_HEADER.len();
        for (text, format, expected) in [
            (String::new(), Format::Csv, end(0, None)),
            ("id,times".to_owned(), Format::Csv, end(0, None)),
            (CSV_HEADER.to_owned(), Format::Csv, end(header, None)),
            (
                format!("{CSV_HEADER}7,,GET"),
                Format::Csv,
                end(header, None),
            ),
            (
                format!("{CSV_HEADER}7,x\n8"),
                Format::Csv,
                end(header + 4, Some(7)),
            ),
            (format!("{CSV_HEADER}x\n"), Format::Csv, None),
            ("something else".to_owned(), Format::Csv, None),
            (format!("{JSON}\n"), Format::Csv, None),
            ("{\"i".to_owned(), Format::Ndjson, end(0, None)),
            (JSON.to_owned(), Format::Ndjson, end(0, None)),
            (
                format!("{JSON}\n{{\"id\":8"),
                Format::Ndjson,
                end(JSON.len() + 1, Some(7)),
            ),
            ("{\"id\":7}\n".to_owned(), Format::Ndjson, None),
            (CSV_HEADER.to_owned(), Format::Ndjson, None),
        ] {
            assert_eq!(end_of(&text, format), expected, "{text:?}");
        }
    }
}
