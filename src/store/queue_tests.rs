//! Whom the writer waits for before it takes a batch.

use std::path::Path;
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use tokio::sync::oneshot::error::TryRecvError;

use super::{Queue, Rejected};
use crate::config::load_from;

const FOREVER: Duration = Duration::from_secs(3600);

fn queue(queue_records_max: usize, batch_records_max: usize, gather_max: Duration) -> Arc<Queue> {
    let environment = [
        ("QUEUE_RECORDS_MAX", queue_records_max.to_string()),
        ("BATCH_RECORDS_MAX", batch_records_max.to_string()),
        ("DEADLINE", "1h".to_owned()),
    ];
    let environment =
        environment.map(|(key, value)| (format!("DAYBOOK_COMMIT__{key}").into(), value.into()));
    let config = load_from(None, environment, Path::new("/nonexistent")).unwrap();
    let mut queue = Queue::new(&config.commit);
    queue.gather_max = gather_max;
    Arc::new(queue)
}

/// One entry, in a turn of the event loop that has no other.
fn arrives(queue: &Queue) {
    queue.push(None, None).expect("there is room");
    queue.release();
}

/// A writer that takes one batch, and says how many entries it has.
fn writer(queue: &Arc<Queue>) -> JoinHandle<usize> {
    let queue = queue.clone();
    spawn(move || {
        assert!(queue.wait_for_work());
        queue.take(Instant::now()).batch.len()
    })
}

#[test]
fn those_who_were_answered_and_those_who_waited_then_share_the_next_batch() {
    let queue = queue(100, 100, FOREVER);
    arrives(&queue);
    queue.answered(3);
    let writer = writer(&queue);
    arrives(&queue);
    arrives(&queue);
    assert!(!queue.state().has_gathered());
    arrives(&queue);
    assert_eq!(writer.join().unwrap(), 4);
}

#[test]
fn a_few_do_not_wait_for_each_other() {
    let queue = queue(100, 100, FOREVER);
    queue.answered(3);
    arrives(&queue);
    assert_eq!(writer(&queue).join().unwrap(), 1);
}

#[test]
fn nobody_is_waited_for_after_a_batch_that_was_not_answered() {
    let queue = queue(100, 100, FOREVER);
    queue.answered(5);
    queue.take(Instant::now());
    arrives(&queue);
    assert_eq!(writer(&queue).join().unwrap(), 1);
}

#[test]
fn who_does_not_come_back_is_waited_for_as_long_as_he_may_take() {
    let gather_max = Duration::from_millis(20);
    let queue = queue(100, 100, gather_max);
    let before = Instant::now();
    queue.answered(5);
    let writer = writer(&queue);
    arrives(&queue);
    assert_eq!(writer.join().unwrap(), 1);
    assert!(before.elapsed() >= gather_max);
}

#[test]
fn who_comes_after_that_waits_for_nobody() {
    let queue = queue(100, 100, FOREVER);
    queue.answered(5);
    queue.state().gather_until = Instant::now();
    arrives(&queue);
    assert_eq!(writer(&queue).join().unwrap(), 1);
}

#[test]
fn sixteen_wait_for_nobody_however_many_are_about() {
    let queue = queue(100, 100, FOREVER);
    queue.answered(50);
    for _ in 0..16 {
        arrives(&queue);
    }
    assert_eq!(writer(&queue).join().unwrap(), 16);
}

#[test]
fn a_whole_batch_waits_for_nobody() {
    let queue = queue(100, 2, FOREVER);
    for _ in 0..3 {
        arrives(&queue);
    }
    queue.answered(2);
    assert_eq!(writer(&queue).join().unwrap(), 2);
}

#[test]
fn a_full_queue_waits_for_nobody() {
    let queue = queue(4, 100, FOREVER);
    for _ in 0..4 {
        arrives(&queue);
    }
    queue.answered(4);
    assert_eq!(writer(&queue).join().unwrap(), 4);
}

#[test]
fn a_stop_ends_the_waiting() {
    let queue = queue(100, 100, FOREVER);
    queue.answered(5);
    let writer = writer(&queue);
    arrives(&queue);
    queue.stop();
    assert_eq!(writer.join().unwrap(), 1);
}

#[test]
fn what_is_not_released_yet_is_not_taken() {
    let queue = queue(100, 100, FOREVER);
    arrives(&queue);
    queue.push(None, None).expect("there is room");
    assert_eq!(queue.take(Instant::now()).batch.len(), 1);
    assert_eq!(queue.len(), 1);
    queue.release();
    assert_eq!(queue.take(Instant::now()).batch.len(), 1);
    assert_eq!(queue.state().released, 0);
}

#[test]
fn when_nobody_is_left_to_answer_the_writer_ends_and_what_waits_is_dropped() {
    let queue = queue(100, 100, FOREVER);
    let mut outcome = queue.push(None, None).expect("there is room");
    queue.abandon();
    assert!(!queue.wait_for_work());
    assert_eq!(outcome.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(queue.push(None, None).err(), Some(Rejected::Draining));
}
