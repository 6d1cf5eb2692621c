//! When a job runs, after restarts, downtimes and a wrong clock.

use std::path::Path;

use daybook::{App, Schedule};
use rusqlite::Connection;
use std::time::Duration;

use super::{Journal, app, every_second, new_database, row, start, unix_now, wait_for_row};
use crate::common::server::{Server, metric};
use crate::common::{TIMEOUT, db, eventually};

/// `HH:MM`, UTC, that many hours from now.
fn time_of_day(hours: f64) -> String {
    let minutes = ((unix_now() / 60.0 + hours * 60.0) % 1440.0) as u32;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// An application with one job, which notes its runs, and a second that shows that time has passed.
fn app_with(job: &'static str, schedule: Schedule, journal: &Journal) -> App {
    let note = |line: &'static str| {
        let journal = journal.clone();
        move |_| {
            journal.add(line);
            async { Ok(()) }
        }
    };
    app()
        .job(job, schedule, note(job))
        .job("second", every_second(), note("second"))
}

/// Starts the application, and stops it after two further seconds.
fn run_for_two_seconds(app: App, database: &Path) {
    let journal = Journal::beside(database);
    let before = journal.count("second");
    let server = start(app, database);
    journal.wait_for("second", before + 2);
    drop(server);
}

/// The database is closed, so any connection may write it.
fn execute(database: &Path, sql: &str) {
    let connection = Connection::open(database).expect("a database");
    connection.execute_batch(sql).expect(sql);
}

fn set_start(database: &Path, job: &str, started_at: f64) {
    let sql = format!(
        "update daybook_jobs set started_at = {started_at}, ended_at = {started_at} where name = '{job}'"
    );
    execute(database, &sql);
}

#[test]
fn a_job_runs_at_once_then_each_period_and_a_restart_does_not_repeat_it() {
    let (_directory, database, journal) = new_database();
    let hourly = || {
        app_with(
            "hourly",
            Schedule::every(Duration::from_secs(3600)),
            &journal,
        )
    };
    run_for_two_seconds(hourly(), &database);
    run_for_two_seconds(hourly(), &database);
    assert_eq!(journal.count("hourly"), 1);
    // An hour later.
    set_start(&database, "hourly", unix_now() - 3600.0);
    run_for_two_seconds(hourly(), &database);
    assert_eq!(journal.count("hourly"), 2);
    // An operator can ask for a run.
    execute(&database, "delete from daybook_jobs where name = 'hourly'");
    run_for_two_seconds(hourly(), &database);
    assert_eq!(journal.count("hourly"), 3);
}

#[test]
fn a_missed_daily_run_is_made_up_once() {
    let (_directory, database, journal) = new_database();
    let time = time_of_day(-2.0);
    let daily = || app_with("daily", Schedule::daily(&time), &journal);
    // It was declared after its time of today.
    run_for_two_seconds(daily(), &database);
    assert_eq!(journal.count("daily"), 0);
    // No replica ran for three days.
    set_start(&database, "daily", unix_now() - 74.0 * 3600.0);
    run_for_two_seconds(daily(), &database);
    run_for_two_seconds(daily(), &database);
    assert_eq!(journal.count("daily"), 1);
}

#[test]
fn a_daily_job_that_has_never_run_makes_up_its_first_time_too() {
    let (_directory, database, journal) = new_database();
    let time = time_of_day(-2.0);
    let daily = || app_with("daily", Schedule::daily(&time), &journal);
    run_for_two_seconds(daily(), &database);
    assert_eq!(journal.count("daily"), 0);
    let declared_at = unix_now() - 4.0 * 3600.0;
    execute(
        &database,
        &format!("update daybook_jobs set declared_at = {declared_at}"),
    );
    run_for_two_seconds(daily(), &database);
    run_for_two_seconds(daily(), &database);
    assert_eq!(journal.count("daily"), 1);
}

#[test]
fn a_daily_job_whose_row_an_operator_deletes_meanwhile_waits_for_its_time() {
    let (_directory, database, journal) = new_database();
    let daily = app_with("daily", Schedule::daily(&time_of_day(-2.0)), &journal);
    let server = start(daily, &database);
    let connection = server.db();
    eventually("it is declared", TIMEOUT, || {
        row(&connection, "daily").is_some()
    });
    connection
        .execute("delete from daybook_jobs where name = 'daily'", [])
        .expect("deleting its row");
    eventually("it is declared again", TIMEOUT * 3, || {
        row(&connection, "daily").is_some()
    });
    journal.wait_for("second", journal.count("second") + 3);
    assert_eq!(journal.count("daily"), 0);
}

#[test]
fn an_interrupted_run_is_reported_before_the_next_is_due() {
    let (_directory, database, journal) = new_database();
    let hourly = || {
        let hour = Duration::from_secs(3600);
        app_with("hourly", Schedule::every(hour), &journal)
    };
    run_for_two_seconds(hourly(), &database);
    execute(
        &database,
        "update daybook_jobs set ended_at = null where name = 'hourly'",
    );
    let server = start(hourly(), &database);
    let row = wait_for_row(&server.db(), "hourly", "the run has ended", |row| {
        row.ended_at.is_some()
    });
    assert_eq!(
        row.error.as_deref(),
        Some("its process ended before the run did")
    );
    assert_eq!(journal.count("hourly"), 1);
}

#[test]
fn a_job_runs_though_the_clock_was_once_years_ahead() {
    let (_directory, database, journal) = new_database();
    let daily = || app_with("daily", Schedule::daily(&time_of_day(12.0)), &journal);
    run_for_two_seconds(daily(), &database);
    set_start(&database, "daily", unix_now() + 3.0 * 365.0 * 86400.0);
    run_for_two_seconds(daily(), &database);
    run_for_two_seconds(daily(), &database);
    assert_eq!(journal.count("daily"), 1);
}

#[test]
fn a_run_is_in_the_table_and_in_the_metrics_of_every_replica() {
    let (_directory, database, journal) = new_database();
    let hourly = || {
        app_with(
            "hourly",
            Schedule::every(Duration::from_secs(3600)),
            &journal,
        )
    };
    let first = start(hourly(), &database);
    let connection = db::open(&database);
    let has_ended = |row: &super::Row| row.ended_at.is_some();
    let run = wait_for_row(&connection, "hourly", "it has run", has_ended);
    assert!(run.started_at <= run.ended_at, "{run:?}");
    assert_eq!((run.succeeded_at, run.error), (run.ended_at, None));

    let second = start(hourly(), &database);
    let job = [("job", "hourly")];
    let succeeded_at = run.succeeded_at.expect("a success");
    for server in [&first, &second] {
        let name = "daybook_job_last_success_timestamp_seconds";
        eventually("the metric shows it", TIMEOUT * 2, || {
            server.metrics().contains(name) && metric(&server.admin, name, &job) == succeeded_at
        });
        let overdue_at = metric(&server.admin, "daybook_job_overdue_timestamp_seconds", &job);
        assert_eq!(overdue_at, succeeded_at + 7200.0);
        assert_eq!(
            metric(&server.admin, "daybook_job_failures_total", &job),
            0.0
        );
    }
    assert_eq!(journal.count("hourly"), 1);
}

#[test]
fn the_next_version_s_replica_runs_no_jobs() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let database = directory.path().join("requests.db");
    let app = |line: &'static str| {
        let journal = Journal::beside(&database);
        app().job("beat", every_second(), move |_| {
            journal.add(line);
            async { Ok(()) }
        })
    };
    let next = super::start_as(app("next"), &database, "next");
    assert!(next.get("/").record_id().is_some());
    assert!(
        !next.metrics().contains("daybook_job_"),
        "{}",
        next.metrics()
    );
    let current = start(app("current"), &database);
    let journal = Journal::beside(&database);
    journal.wait_for("current", 3);
    // The current one is gone: nobody runs the job.
    drop(current);
    let runs = journal.lines().len();
    let until = unix_now() + 2.0;
    eventually("two seconds have passed", TIMEOUT, || unix_now() > until);
    assert_eq!(journal.lines().len(), runs);
    assert_eq!(journal.count("next"), 0);
}

#[test]
fn programs_without_jobs_use_the_same_database() {
    let (_directory, database, journal) = new_database();
    let with_jobs = start(app_with("beat", every_second(), &journal), &database);
    journal.wait_for("beat", 1);
    let echo = Server::with(|c| {
        c.text("database.path", database.display());
    });
    for n in 1..=3 {
        assert_eq!(echo.get("/echo").record_id(), Some(2 * n - 1));
        assert_eq!(with_jobs.get("/jobs").record_id(), Some(2 * n));
    }
    assert!(!echo.get_admin("/metrics").text().contains("\"beat\""));

    // Without jobs but daybook's own, which wait for a minute, there is no table.
    let alone = Server::start();
    assert!(alone.get("/").record_id().is_some());
    assert!(row(&alone.db(), "beat").is_none());
    let tables = "select count(*) from sqlite_schema where name = 'daybook_jobs'";
    let count: i64 = alone
        .db()
        .query_row(tables, [], |row| row.get(0))
        .expect("a number");
    assert_eq!(count, 0);
}
