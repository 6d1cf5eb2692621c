//! Finds commits that SQLite would silently discard when it opens a database.
//!
//! Where the database is missing or empty, SQLite deletes its WAL and its rollback journal as remains of another
//! database. It treats a WAL with an invalid header as empty. (`pagerOpenWalIfPresent`, `hasHotJournal` and
//! `walIndexRecover` in SQLite's source; sqlite.org, "WAL-mode File Format" and "Database File Format".)

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::paths;

const WAL_HEADER_BYTES: usize = 32;
/// The last bit is the byte order of the checksums.
const WAL_MAGIC: u32 = 0x377f_0682;
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// Another process may be writing the header at this moment, as it does once in a thousand pages.
const READS_MAX: usize = 3;

/// A WAL or a rollback journal with content. It is an orphan if its database is missing or empty.
///
/// # Errors
/// With the path that cannot be read.
pub(super) fn wal_or_journal(database: &Path) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
    let wal = paths::wal(database);
    let (head, _) = read_head(&wal).map_err(|error| (wal.clone(), error))?;
    if !head.is_empty() {
        return Ok(Some(wal));
    }
    let journal = paths::journal(database);
    let (head, _) = read_head(&journal).map_err(|error| (journal.clone(), error))?;
    Ok(belongs_to_pages(&head).then_some(journal))
}

/// Whether SQLite would treat a WAL with content as empty.
///
/// # Errors
/// When the WAL cannot be read.
pub(super) fn has_damaged_wal(database: &Path) -> io::Result<bool> {
    let wal = paths::wal(database);
    for _ in 0..READS_MAX {
        let (head, bytes) = read_head(&wal)?;
        // A crash can leave part of a header and nothing after it: SQLite syncs the header before it writes a page.
        if bytes <= WAL_HEADER_BYTES as u64 || is_wal_header(&head) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first bytes of a file and its length; empty for a missing file.
fn read_head(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        file => file?,
    };
    let bytes = file.metadata()?.len();
    let mut head = Vec::new();
    file.take(WAL_HEADER_BYTES as u64).read_to_end(&mut head)?;
    Ok((head, bytes))
}

/// Whether a rollback journal belongs to a database that had pages: if its creation was interrupted, it had none.
fn belongs_to_pages(journal: &[u8]) -> bool {
    journal.starts_with(&JOURNAL_MAGIC) && journal.get(16..20).is_some_and(|pages| pages != [0; 4])
}

fn is_wal_header(header: &[u8]) -> bool {
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
    magic & !1 == WAL_MAGIC
        && page_bytes.is_power_of_two()
        && (512..=65536).contains(&page_bytes)
        && (sum, other) == (u32::from_be_bytes(first), u32::from_be_bytes(second))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_wal_header_is_valid_until_any_bit_of_it_changes() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("some.db");
        let connection = Connection::open(&path).expect("opening");
        connection
            .execute_batch("pragma journal_mode = wal; create table t (x)")
            .expect("a table");
        assert!(!has_damaged_wal(&path).expect("reading"));
        let (header, _) = read_head(&paths::wal(&path)).expect("reading");
        assert!(is_wal_header(&header));
        for bit in 0..header.len() * 8 {
            let mut changed = header.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_wal_header(&changed), "bit {bit}");
        }
        // A missing WAL is not damaged.
        assert!(!has_damaged_wal(&dir.path().join("none.db")).expect("reading"));
    }

    /// The checksums were computed by a script, from the file format's description.
    #[test]
    fn a_wal_header_needs_its_magic_number_its_page_size_and_its_checksum() {
        let header = |magic: u32, page_bytes: u32, checksum: [u32; 2]| {
            let words = [magic, 3_007_000, page_bytes, 0, 0x1122_3344, 0x5566_7788];
            let words = words.into_iter().chain(checksum);
            is_wal_header(&words.flat_map(u32::to_be_bytes).collect::<Vec<_>>())
        };
        let (little_endian, big_endian) = (0x377F_0682, 0x377F_0683);
        assert!(header(little_endian, 4096, [0x191A_2524, 0x5979_631E]));
        assert!(header(big_endian, 4096, [0x2727_1A1B, 0x2366_795C]));
        assert!(header(little_endian, 512, [0x18FE_2524, 0x594F_631E]));
        assert!(header(little_endian, 65536, [0x18FA_2724, 0x5949_661E]));
        for (magic, page_bytes, checksum) in [
            (little_endian, 4096, [0x191A_2524, 0]),
            (0x377F_0680, 4096, [0x0F1A_2524, 0x4979_631E]),
            (little_endian, 3000, [0x8910_2524, 0x816A_631E]),
            (little_endian, 256, [0x18FC_2524, 0x594C_631E]),
            (little_endian, 131_072, [0x18FA_2924, 0x5949_691E]),
        ] {
            assert!(
                !header(magic, page_bytes, checksum),
                "{magic:#x} {page_bytes}"
            );
        }
    }

    #[test]
    fn a_wal_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("some.db");
        std::os::unix::fs::symlink("some.db-wal", paths::wal(&path)).expect("a link to itself");
        assert!(has_damaged_wal(&path).is_err());
    }
}
