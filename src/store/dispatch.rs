//! The dispatcher: the task on the event loop between the requests and the writer.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::lock;
use super::outcome::BatchOutcomes;
use super::queue::Queue;
use super::writer_status::{WriterState, WriterStatus};
use crate::rejected::Rejected;
use crate::telemetry::log_rate_limited;

pub(super) struct Dispatcher {
    pub queue: Arc<Queue>,
    pub status: Arc<WriterStatus>,
    /// The database, for the log.
    pub database: PathBuf,
}

impl Dispatcher {
    /// Runs until the writer ends. It hands the outcomes of a batch to its requests all at once, and releases new entries
    /// to the writer once in each turn of the event loop. One timer rejects all entries past their deadline.
    pub async fn run(self, mut batches: mpsc::UnboundedReceiver<BatchOutcomes>) {
        // If this task panicked, no request would get a response again: end the writer, and so the process.
        let _stop_on_drop = StopOnDrop(&self.queue);
        let next_expiry = || self.queue.next_expiry(Instant::now()).into();
        let expiry = tokio::time::sleep_until(next_expiry());
        tokio::pin!(expiry);
        loop {
            tokio::select! {
                biased;
                batch = batches.recv() => match batch {
                    Some(batch) => for (request, outcome) in batch {
                        // Fails if the client is gone; its row still exists.
                        let _ = request.send(outcome);
                    },
                    // The writer has ended.
                    None => return,
                },
                () = self.queue.pushed() => self.queue.release(),
                () = &mut expiry => {
                    self.reject_expired();
                    expiry.as_mut().reset(next_expiry());
                }
            }
        }
    }

    fn reject_expired(&self) {
        let expired = self.queue.take_expired(Instant::now());
        if expired.is_empty() {
            return;
        }
        log_rate_limited("records expired in the queue", &CauseOfDelay(self));
        for entry in expired {
            entry.reject(Rejected::Deadline);
        }
    }
}

struct StopOnDrop<'a>(&'a Queue);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close_and_stop();
    }
}

/// The reason why the writer waits. It is looked up only if it is printed.
struct CauseOfDelay<'a>(&'a Dispatcher);

impl fmt::Display for CauseOfDelay<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, since) = self.0.status.current();
        let seconds = since.as_secs_f32();
        match (state, lock::holder(&self.0.database)) {
            (WriterState::Idle, _) => write!(formatter, "the writer cannot keep up"),
            (WriterState::Committing, _) => {
                write!(formatter, "a commit has taken {seconds:.1} s so far")
            }
            (WriterState::WaitingForLock, Some(pid)) if pid == std::process::id() => {
                write!(
                    formatter,
                    "a checkpoint, or a foreign writer, has held the database for {seconds:.1} s"
                )
            }
            (WriterState::WaitingForLock, Some(pid)) => {
                write!(
                    formatter,
                    "process {pid} has held the write lock for {seconds:.1} s"
                )
            }
            (WriterState::WaitingForLock, None) => {
                write!(
                    formatter,
                    "another process has held the database for {seconds:.1} s"
                )
            }
        }
    }
}
