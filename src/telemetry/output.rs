//! Standard error, written by a thread of its own.
//!
//! A write to standard error can fail (the reader is gone, the disk is full) and can block (the reader is stuck). Neither
//! may reach the event loop or the writer. So a line goes into a bounded queue; what does not fit, or cannot be written, is
//! counted as lost.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

/// Bytes that wait for the thread: some 5,000 lines.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// How long [`flush`] waits for a reader that does not read. Nobody is to wait longer for the end of a process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Global, as standard error is.
static OUTPUT: LazyLock<Output> = LazyLock::new(Output::default);
static LINES_LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "log_lines_lost_total",
        "Log lines that could not be written to standard error, or did not fit into the queue before it.",
    )
    .expect("the name is one that Prometheus takes")
});

#[derive(Default)]
struct Output {
    queue: Mutex<Queue>,
    /// Lines are there to be written.
    filled: Condvar,
    /// All lines were written.
    drained: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    is_writing: bool,
    has_thread: bool,
}

impl Queue {
    fn is_drained(&self) -> bool {
        self.lines.is_empty() && !self.is_writing
    }
}

impl Output {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing can panic while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut stderr: impl Write) {
        let mut queue = self.queue();
        let mut is_cut = false;
        loop {
            let Some(line) = queue.lines.pop_front() else {
                self.drained.notify_all();
                queue = self
                    .filled
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.bytes -= line.len();
            queue.is_writing = true;
            drop(queue);
            if write_whole(&mut stderr, &line, &mut is_cut).is_err() {
                LINES_LOST.inc();
            }
            queue = self.queue();
            queue.is_writing = false;
        }
    }
}

/// Writes a line. `is_cut` says whether the last one broke off in its middle: then this one begins on a new line.
fn write_whole(output: &mut impl Write, line: &[u8], is_cut: &mut bool) -> io::Result<()> {
    if *is_cut {
        output.write_all(b"\n")?;
        *is_cut = false;
    }
    let mut rest = line;
    while !rest.is_empty() {
        match output.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                rest = &rest[written..];
                *is_cut = !rest.is_empty();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Queues a line, its newline included, for standard error. Never fails and never blocks: a line that does not fit is
/// counted as lost.
pub(super) fn write(line: Vec<u8>) {
    let mut queue = OUTPUT.queue();
    if !queue.has_thread {
        let run = || OUTPUT.run(io::stderr());
        let thread = std::thread::Builder::new().name("log".to_owned());
        queue.has_thread = thread.spawn(run).is_ok();
    }
    if !queue.has_thread || queue.bytes + line.len() > QUEUE_BYTES_MAX {
        LINES_LOST.inc();
        return;
    }
    queue.bytes += line.len();
    queue.lines.push_back(line);
    drop(queue);
    OUTPUT.filled.notify_one();
}

/// Waits until all lines are written, for a second at most: the end of a process ends the thread.
pub fn flush() {
    let is_open = |queue: &mut Queue| !queue.is_drained();
    drop(
        OUTPUT
            .drained
            .wait_timeout_while(OUTPUT.queue(), FLUSH_TIMEOUT, is_open),
    );
}

/// The counter of lost lines, for a registry.
pub(crate) fn lines_lost() -> IntCounter {
    LINES_LOST.clone()
}

/// What the log writes each of its lines to.
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then fails once, and so on.
    struct Failing {
        taken: Vec<u8>,
        until_full: usize,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.until_full);
            if count == 0 {
                self.until_full = 100;
                return Err(ErrorKind::StorageFull.into());
            }
            self.until_full -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_after_one_that_was_cut_off_begins_on_a_line_of_its_own() {
        let mut output = Failing {
            taken: Vec::new(),
            until_full: 9,
        };
        let mut is_cut = false;
        write_whole(&mut output, b"first\n", &mut is_cut).expect("there is room");
        write_whole(&mut output, b"second\n", &mut is_cut)
            .expect_err("there is room for half of it");
        write_whole(&mut output, b"third\n", &mut is_cut).expect("there is room again");
        assert_eq!(output.taken, b"first\nsec\nthird\n");
    }
}
