//! How long the writer waits before it takes a batch, and which entries it takes.

use std::path::Path;
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use tokio::sync::oneshot::error::TryRecvError;

use super::{Queue, Rejected};
use crate::config::load_from;

const FOREVER: Duration = Duration::from_secs(3600);

fn queue(queue_records_max: usize, batch_records_max: usize, wait_max: Duration) -> Arc<Queue> {
    let environment = [
        ("QUEUE_RECORDS_MAX", queue_records_max.to_string()),
        ("BATCH_RECORDS_MAX", batch_records_max.to_string()),
        ("DEADLINE", "1h".to_owned()),
    ];
    let environment =
        environment.map(|(key, value)| (format!("DAYBOOK_COMMIT__{key}").into(), value.into()));
    let config = load_from(None, environment, Path::new("/nonexistent")).unwrap();
    let queue = Queue::new(&config.commit);
    queue.state().group_commit.wait_max = wait_max;
    Arc::new(queue)
}

/// One entry, in a turn of the event loop without another.
fn push_and_release(queue: &Queue) {
    queue.push(None, None).expect("there is room");
    queue.release();
}

/// A writer that takes one batch, and returns its size.
fn writer(queue: &Arc<Queue>) -> JoinHandle<usize> {
    let queue = queue.clone();
    spawn(move || {
        assert!(queue.wait_for_batch());
        queue.take_batch(Instant::now()).entries.len()
    })
}

#[test]
fn the_next_batch_waits_for_as_many_entries_as_were_active_at_the_commit() {
    let queue = queue(100, 100, FOREVER);
    push_and_release(&queue);
    queue.expect_more(3);
    let writer = writer(&queue);
    push_and_release(&queue);
    push_and_release(&queue);
    assert!(!queue.state().group_commit.is_complete(3));
    push_and_release(&queue);
    assert_eq!(writer.join().unwrap(), 4);
}

#[test]
fn enough_entries_wait_for_none() {
    for (what, records_max, batch_max, committed, entries, taken) in [
        ("too few clients to share a commit", 100, 100, 2, 1, 1),
        ("sixteen of fifty", 100, 100, 50, 16, 16),
        ("a full batch", 100, 2, 2, 3, 2),
        ("a full queue", 4, 100, 4, 4, 4),
    ] {
        let queue = queue(records_max, batch_max, FOREVER);
        for _ in 0..entries {
            push_and_release(&queue);
        }
        queue.expect_more(committed);
        assert_eq!(writer(&queue).join().unwrap(), taken, "{what}");
    }
}

#[test]
fn after_a_batch_that_was_not_committed_the_next_waits_for_none() {
    let queue = queue(100, 100, FOREVER);
    queue.expect_more(5);
    queue.take_batch(Instant::now());
    push_and_release(&queue);
    assert_eq!(writer(&queue).join().unwrap(), 1);
}

#[test]
fn the_wait_for_clients_that_do_not_come_back_is_bounded() {
    let wait_max = Duration::from_millis(20);
    let queue = queue(100, 100, wait_max);
    let before = Instant::now();
    queue.expect_more(5);
    let writer = writer(&queue);
    push_and_release(&queue);
    assert_eq!(writer.join().unwrap(), 1);
    assert!(before.elapsed() >= wait_max);
}

#[test]
fn an_entry_after_that_time_waits_for_none() {
    let queue = queue(100, 100, FOREVER);
    queue.expect_more(5);
    queue.state().group_commit.until = Instant::now();
    push_and_release(&queue);
    assert_eq!(writer(&queue).join().unwrap(), 1);
}

#[test]
fn a_stop_ends_the_wait() {
    let queue = queue(100, 100, FOREVER);
    queue.expect_more(5);
    let writer = writer(&queue);
    push_and_release(&queue);
    queue.stop();
    assert_eq!(writer.join().unwrap(), 1);
}

#[test]
fn an_entry_that_is_not_released_is_not_taken() {
    let queue = queue(100, 100, FOREVER);
    push_and_release(&queue);
    queue.push(None, None).expect("there is room");
    assert_eq!(queue.take_batch(Instant::now()).entries.len(), 1);
    assert_eq!(queue.len(), 1);
    queue.release();
    assert_eq!(queue.take_batch(Instant::now()).entries.len(), 1);
    assert_eq!(queue.state().released, 0);
}

#[test]
fn without_a_dispatcher_the_writer_ends_and_waiting_entries_are_dropped() {
    let queue = queue(100, 100, FOREVER);
    let mut outcome = queue.push(None, None).expect("there is room");
    queue.close_and_stop();
    assert!(!queue.wait_for_batch());
    assert_eq!(outcome.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(queue.push(None, None).err(), Some(Rejected::Draining));
}

#[test]
fn after_the_writer_has_ended_a_push_is_rejected() {
    let queue = queue(100, 100, FOREVER);
    queue.stop();
    assert!(!queue.wait_for_batch());
    assert_eq!(queue.push(None, None).err(), Some(Rejected::Draining));
}
