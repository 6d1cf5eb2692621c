//! Switches the mutants that `scripts/mutants` compiles into one build. The tests start processes, so the variables are the
//! interface:
//!
//! - `MUTANT_ID`: the mutant that is active. Without it, the code does what the source says.
//! - `MUTANT_COVERAGE`: a file with one byte for each mutant. The byte is set when the mutant's place is reached.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

struct Coverage {
    file: PathBuf,
    reached: Vec<AtomicBool>,
}

static ACTIVE: LazyLock<Option<usize>> = LazyLock::new(|| {
    let id = std::env::var("MUTANT_ID").ok()?;
    Some(id.parse().expect("MUTANT_ID is a number"))
});

static COVERAGE: LazyLock<Option<Coverage>> = LazyLock::new(|| {
    let file = PathBuf::from(std::env::var_os("MUTANT_COVERAGE")?);
    let mutants = std::fs::metadata(&file).expect("MUTANT_COVERAGE is a file").len();
    let reached = (0..mutants).map(|_| AtomicBool::new(false)).collect();
    Some(Coverage { file, reached })
});

/// Whether this mutant is active.
pub fn is(id: usize) -> bool {
    if let Some(coverage) = &*COVERAGE {
        coverage.note(id);
    }
    *ACTIVE == Some(id)
}

impl Coverage {
    /// Writes at once, because a test may kill the process. Keeps no file open, because tests count the open files.
    fn note(&self, id: usize) {
        if !self.reached[id].swap(true, Ordering::Relaxed)
            && let Ok(file) = OpenOptions::new().write(true).open(&self.file)
        {
            let _ = file.write_at(&[1], id as u64);
        }
    }
}
