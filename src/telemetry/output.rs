//! Writes the log to standard error on its own thread.
//!
//! A write can fail (the reader is gone, the disk is full) or block (the reader is stuck), and must then not stop the event
//! loop or the writer. Lines go through a bounded queue; those that do not fit or cannot be written are counted as lost.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

/// Bytes in the queue: about 5,000 lines.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// Limits how long a stuck reader of the log can delay the exit of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// One a process, like standard error.
static OUTPUT: LazyLock<Output> = LazyLock::new(Output::default);
static LINES_LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "log_lines_lost_total",
        "Log lines lost: standard error failed, or the queue before it was full.",
    )
    .expect("a valid metric name")
});

#[derive(Default)]
struct Output {
    queue: Mutex<Queue>,
    /// A line was queued.
    filled: Condvar,
    /// All lines are written.
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
    /// Whether the line fits.
    fn push(&mut self, line: Vec<u8>) -> bool {
        let bytes = self.bytes + line.len();
        if bytes > QUEUE_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.lines.push_back(line);
        true
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.len();
        Some(line)
    }

    fn is_drained(&self) -> bool {
        self.lines.is_empty() && !self.is_writing
    }
}

impl Output {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut stderr: impl Write) {
        let mut queue = self.queue();
        let mut is_partial = false;
        loop {
            let Some(line) = queue.pop() else {
                self.drained.notify_all();
                queue = self
                    .filled
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.is_writing = true;
            drop(queue);
            if write_line(&mut stderr, &line, &mut is_partial).is_err() {
                LINES_LOST.inc();
            }
            queue = self.queue();
            queue.is_writing = false;
        }
    }
}

/// Writes a line. `is_partial`: only a part of the previous line was written, so this one needs a newline first.
fn write_line(output: &mut impl Write, line: &[u8], is_partial: &mut bool) -> io::Result<()> {
    if *is_partial {
        output.write_all(b"\n")?;
        *is_partial = false;
    }
    let mut rest = line;
    while !rest.is_empty() {
        match output.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                rest = &rest[written..];
                *is_partial = !rest.is_empty();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Queues a line, with its newline. Never fails or blocks: a line that does not fit is counted as lost.
pub(super) fn write(line: Vec<u8>) {
    let mut queue = OUTPUT.queue();
    if !queue.has_thread {
        let run = || OUTPUT.run(io::stderr());
        let thread = std::thread::Builder::new().name("log".to_owned());
        queue.has_thread = thread.spawn(run).is_ok();
    }
    let is_queued = queue.has_thread && queue.push(line);
    drop(queue);
    match is_queued {
        true => OUTPUT.filled.notify_one(),
        false => LINES_LOST.inc(),
    }
}

/// Waits until all lines are written, for a second at most. Call it before the process exits, which ends the thread.
pub fn flush() {
    let is_open = |queue: &mut Queue| !queue.is_drained();
    drop(
        OUTPUT
            .drained
            .wait_timeout_while(OUTPUT.queue(), FLUSH_TIMEOUT, is_open),
    );
}

pub(crate) fn lines_lost() -> IntCounter {
    LINES_LOST.clone()
}

/// Gets one whole line a call from the log.
pub(super) struct LogWriter;

impl Write for LogWriter {
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

    /// Fails once after `until_full` bytes, and then after every 100.
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
    fn a_full_queue_takes_a_line_once_another_is_written() {
        let mut queue = Queue::default();
        let half = vec![b'a'; QUEUE_BYTES_MAX / 2];
        assert!(queue.push(half.clone()) && queue.push(half.clone()));
        assert!(!queue.push(b"b".to_vec()));
        for _ in 0..2 {
            assert_eq!(queue.pop().as_ref(), Some(&half));
            assert!(queue.push(half.clone()));
            assert!(!queue.push(b"b".to_vec()));
        }
    }

    #[test]
    fn a_line_after_a_partial_one_starts_on_a_new_line() {
        let mut output = Failing {
            taken: Vec::new(),
            until_full: 9,
        };
        let mut is_partial = false;
        write_line(&mut output, b"first\n", &mut is_partial).expect("there is room");
        write_line(&mut output, b"second\n", &mut is_partial)
            .expect_err("there is room for a part of it");
        write_line(&mut output, b"third\n", &mut is_partial).expect("there is room again");
        assert_eq!(output.taken, b"first\nsec\nthird\n");
    }
}
