//! A job that fails, panics or blocks harms nothing else, and is reported.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::{app, every_second, new_database, start, wait_for_row};
use crate::common::locks::WriteLock;
use crate::common::server::metric;
use crate::common::{TIMEOUT, db, eventually};

const LAST_SUCCESS: &str = "daybook_job_last_success_timestamp_seconds";

#[test]
fn a_job_that_panics_or_fails_is_reported_and_runs_again() {
    let (_directory, database, journal) = new_database();
    let panics = {
        let journal = journal.clone();
        move |_| {
            journal.add("panics");
            let number = 4711;
            async move { panic!("no luck with {number}") }
        }
    };
    let fails = async |_: daybook::Context| Err("no network".into());
    let app = app()
        .job("panics", every_second(), panics)
        .job("fails", every_second(), fails);
    let server = start(app, &database);
    journal.wait_for("panics", 2);
    let connection = db::open(&database);
    for (job, error) in [
        ("panics", "it panicked: no luck with 4711"),
        ("fails", "no network"),
    ] {
        let is_reported = |row: &super::Row| row.error.is_some();
        let row = wait_for_row(&connection, job, "the error is recorded", is_reported);
        assert_eq!(row.error.as_deref(), Some(error));
        assert!(row.ended_at >= row.started_at, "{row:?}");
        assert_eq!(row.succeeded_at, None);
        eventually("the failures are counted", TIMEOUT, || {
            metric(&server.admin, "daybook_job_failures_total", &[("job", job)]) >= 2.0
        });
    }
    assert!(
        !server.metrics().contains(LAST_SUCCESS),
        "{}",
        server.metrics()
    );
    assert!(server.get("/").record_id().is_some());
}

#[test]
fn a_success_after_a_failure_clears_the_error() {
    let (_directory, database, journal) = new_database();
    let fails_once = {
        let journal = journal.clone();
        move |_| {
            journal.add("run");
            let is_first = journal.count("run") == 1;
            async move {
                if is_first {
                    Err("not yet".into())
                } else {
                    Ok(())
                }
            }
        }
    };
    let server = start(app().job("beat", every_second(), fails_once), &database);
    let has_succeeded = |row: &super::Row| row.succeeded_at.is_some() && row.ended_at.is_some();
    let row = wait_for_row(
        &db::open(&database),
        "beat",
        "it has succeeded",
        has_succeeded,
    );
    assert_eq!(row.error, None);
    assert_eq!(
        metric(
            &server.admin,
            "daybook_job_failures_total",
            &[("job", "beat")]
        ),
        1.0
    );
}

#[test]
fn a_job_that_blocks_its_thread_delays_neither_requests_nor_other_jobs() {
    let (_directory, database, journal) = new_database();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let blocks = {
        let journal = journal.clone();
        move |_| {
            let (journal, released) = (journal.clone(), released.clone());
            async move {
                journal.add("blocks");
                // Until the test has seen enough.
                let _ = released.lock().expect("one run at a time").recv();
                Ok(())
            }
        }
    };
    let beats = {
        let journal = journal.clone();
        move |_| {
            let journal = journal.clone();
            async move {
                // Timers and tasks work in a job.
                let task = tokio::spawn(tokio::time::sleep(Duration::from_millis(10)));
                task.await?;
                journal.add("beats");
                Ok(())
            }
        }
    };
    let app = app()
        .job("blocks", every_second(), blocks)
        .job("beats", every_second(), beats);
    let server = start(app, &database);
    journal.wait_for("blocks", 1);
    let before = journal.count("beats");
    journal.wait_for("beats", before + 3);
    assert!(server.get("/").record_id().is_some());
    // It is still in its first run.
    assert_eq!(journal.count("blocks"), 1);
    drop(release);
}

#[test]
fn a_job_does_not_run_before_its_start_is_recorded() {
    let (_directory, database, journal) = new_database();
    let beat = {
        let journal = journal.clone();
        move |_| {
            journal.add("beat");
            async { Ok(()) }
        }
    };
    let server = start(app().job("beat", every_second(), beat), &database);
    journal.wait_for("beat", 1);
    let has_ended = |row: &super::Row| row.ended_at.is_some();
    let connection = db::open(&database);
    // The lock has to be taken between two runs.
    let (lock, runs) = eventually("a lock between two runs", TIMEOUT * 3, || {
        wait_for_row(&connection, "beat", "the run has ended", has_ended);
        let lock = WriteLock::take(&database);
        let has_ended = super::row(&connection, "beat").is_some_and(|row| row.ended_at.is_some());
        has_ended.then(|| (lock, journal.count("beat")))
    });
    server.wait_until_queued(1);
    assert_eq!(journal.count("beat"), runs);
    drop(lock);
    journal.wait_for("beat", runs + 1);
}
