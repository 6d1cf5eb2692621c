//! A mistake in a job's declaration ends the program at its start.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use daybook::{App, Schedule};

use super::{app, every_second, start};

/// The message of an application that must not start. Its database is not created.
fn mistake(app: App) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("requests.db");
    let started = catch_unwind(AssertUnwindSafe(|| drop(start(app, &path))));
    let panic = started.expect_err("it must not start");
    let files: Vec<_> = directory
        .path()
        .read_dir()
        .expect("its directory")
        .collect();
    assert!(files.is_empty(), "{files:?}");
    *panic.downcast().expect("a message")
}

#[test]
fn a_job_with_a_bad_name_is_refused() {
    for (name, right) in [
        ("Purge", "lower-case letters"),
        ("../purge", "lower-case letters"),
        ("", "1 to 40"),
        ("daybook-purge", "choose another name"),
    ] {
        let message = mistake(app().job(name, every_second(), async |_| Ok(())));
        assert!(
            message.contains(&format!("job {name:?}")) && message.contains(right),
            "{message}"
        );
    }
}

#[test]
fn two_jobs_of_one_name_are_refused() {
    let twice = app().job("purge", every_second(), async |_| Ok(())).job(
        "purge",
        every_second(),
        async |_| Ok(()),
    );
    let message = mistake(twice);
    assert!(
        message.contains("job \"purge\": the application declares it twice"),
        "{message}"
    );
}

#[test]
fn a_bad_time_is_refused() {
    for (schedule, right) in [
        (Schedule::daily("3 o'clock"), "\"00:00\" to \"23:59\""),
        (Schedule::every(Duration::ZERO), "1 second to 365 days"),
    ] {
        let message = mistake(app().job("purge", schedule, async |_| Ok(())));
        assert!(
            message.contains("job \"purge\"") && message.contains(right),
            "{message}"
        );
    }
}
