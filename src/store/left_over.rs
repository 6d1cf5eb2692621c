//! What lies beside a database's file that SQLite would discard without a word as it opens it.
//!
//! Where the file is missing or empty, SQLite deletes a log and a rollback journal: to it they are remains of another
//! database. And a log whose header is damaged it takes for an empty one. (`pagerOpenWalIfPresent`, `hasHotJournal` and
//! `walIndexRecover` in SQLite's source; sqlite.org, "WAL-mode File Format" and "Database File Format".)

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::log_file;
use super::path::beside;

const LOG_HEADER_BYTES: usize = 32;
/// The last bit says in which byte order the checksums are.
const LOG_MAGIC: u32 = 0x377f_0682;
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// Another process may just be writing the header, which it does once in a thousand pages.
const READS_MAX: usize = 3;

/// A log or a rollback journal that is of no use without its database, and has something in it.
///
/// # Errors
/// With the path that cannot be read.
pub(super) fn of(database: &Path) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
    let log = log_file::path(database);
    let (head, _) = begin(&log).map_err(|error| (log.clone(), error))?;
    if !head.is_empty() {
        return Ok(Some(log));
    }
    let journal = beside(database, "-journal");
    let (head, _) = begin(&journal).map_err(|error| (journal.clone(), error))?;
    Ok(belongs_to_pages(&head).then_some(journal))
}

/// Whether all that is in a database's log would be taken for nothing.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn has_damaged_log(database: &Path) -> io::Result<bool> {
    let log = log_file::path(database);
    for _ in 0..READS_MAX {
        let (head, bytes) = begin(&log)?;
        // A crash can leave a part of the header, with nothing behind it: it is synced before the first page is written.
        if bytes <= LOG_HEADER_BYTES as u64 || is_log_header(&head) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first bytes of a file and its length; none of a file that is not there.
fn begin(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        file => file?,
    };
    let bytes = file.metadata()?.len();
    let mut head = Vec::new();
    file.take(LOG_HEADER_BYTES as u64).read_to_end(&mut head)?;
    Ok((head, bytes))
}

/// Whether a rollback journal has to do with a database that had pages: one whose creation was interrupted had none.
fn belongs_to_pages(journal: &[u8]) -> bool {
    journal.starts_with(&JOURNAL_MAGIC) && journal.get(16..20).is_some_and(|pages| pages != [0; 4])
}

fn is_log_header(header: &[u8]) -> bool {
    let words: Vec<[u8; 4]> = header
        .chunks_exact(4)
        .map(|word| word.try_into().expect("four bytes"))
        .collect();
    let [magic, _version, page_bytes, _, _, _, first, second] = words[..] else {
        return false;
    };
    let magic = u32::from_be_bytes(magic);
    let page_bytes = u32::from_be_bytes(page_bytes);
    let read = if magic & 1 == 1 {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    let (mut sum, mut other) = (0_u32, 0_u32);
    for pair in words[..6].chunks_exact(2) {
        sum = sum.wrapping_add(read(pair[0])).wrapping_add(other);
        other = other.wrapping_add(read(pair[1])).wrapping_add(sum);
    }
    magic & !1 == LOG_MAGIC
        && page_bytes.is_power_of_two()
        && (512..=65536).contains(&page_bytes)
        && (sum, other) == (u32::from_be_bytes(first), u32::from_be_bytes(second))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn the_header_of_a_log_is_known_and_each_changed_bit_of_it_noticed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("some.db");
        let connection = Connection::open(&path).expect("opening");
        connection
            .execute_batch("pragma journal_mode = wal; create table t (x)")
            .expect("a table");
        assert!(!has_damaged_log(&path).expect("reading"));
        let (header, _) = begin(&log_file::path(&path)).expect("reading");
        assert!(is_log_header(&header));
        for bit in 0..header.len() * 8 {
            let mut changed = header.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_log_header(&changed), "bit {bit}");
        }
        // Where there is no log, none is damaged.
        assert!(!has_damaged_log(&dir.path().join("none.db")).expect("reading"));
    }
}
