//! The task between the writer and the requests.

use std::time::Instant;

use tokio::sync::mpsc;

use super::queue::{Entry, Queue};
use super::writer::Answers;
use super::{Activity, Outcome, Rejected, Store, lock};
use crate::telemetry::log_rate_limited;

/// Wakes a whole batch at once, on the event loop's own thread; releases to the writer what has arrived, once a turn;
/// and takes out of the queue what is past its deadline, with one timer for all.
pub(super) async fn dispatch(store: Store, mut batches: mpsc::UnboundedReceiver<Answers>) {
    let inner = &store.0;
    // Should this task panic, nobody would ever be answered: end the writer, and so the process.
    let _abandon_at_the_end = AbandonAtTheEnd(&inner.queue);
    let next_expiry = || inner.queue.next_expiry(Instant::now()).into();
    let expiry = tokio::time::sleep_until(next_expiry());
    tokio::pin!(expiry);
    loop {
        tokio::select! {
            biased;
            batch = batches.recv() => match batch {
                Some(batch) => for (reply, outcome) in batch {
                    // Fails when the client has gone; the row is there all the same.
                    let _ = reply.send(outcome);
                },
                // The writer has ended.
                None => return,
            },
            () = inner.appended.notified() => inner.queue.release(),
            () = &mut expiry => {
                let expired = inner.queue.expire(Instant::now());
                if !expired.is_empty() {
                    log_rate_limited("records expired in the queue", &WaitingFor(&store));
                    reject(expired, Rejected::Deadline);
                }
                expiry.as_mut().reset(next_expiry());
            }
        }
    }
}

struct AbandonAtTheEnd<'a>(&'a Queue);

impl Drop for AbandonAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// What the writer is waiting for, in words; looked up only if they are printed.
struct WaitingFor<'a>(&'a Store);

impl std::fmt::Display for WaitingFor<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (activity, since) = self.0.writer().current();
        let seconds = since.as_secs_f32();
        match (activity, lock::holder(self.0.path())) {
            (Activity::Idle, _) => write!(formatter, "the writer is behind"),
            (Activity::Committing, _) => {
                write!(formatter, "a commit has taken {seconds:.1} s so far")
            }
            (Activity::WaitingForLock, Some(pid)) if pid == std::process::id() => {
                write!(
                    formatter,
                    "a checkpoint, or a foreign writer, has held the database for {seconds:.1} s"
                )
            }
            (Activity::WaitingForLock, Some(pid)) => {
                write!(
                    formatter,
                    "process {pid} has held the write lock for {seconds:.1} s"
                )
            }
            (Activity::WaitingForLock, None) => {
                write!(
                    formatter,
                    "another process has held the database for {seconds:.1} s"
                )
            }
        }
    }
}

pub(super) fn reject(entries: Vec<Entry>, reason: Rejected) {
    for entry in entries {
        let _ = entry.reply.send(Outcome::Rejected(reason));
    }
}
