//! A stop waits for a job that runs, within `shutdown.grace`.

use std::time::Duration;

use daybook::{Context, Schedule};

use super::{Journal, app, every_second, new_database, row, start};
use crate::common::db;
use crate::common::in_process::InProcessServer;

#[test]
fn a_stop_waits_for_a_run_which_learns_of_it() {
    let (_directory, database, journal) = new_database();
    let job = {
        let journal = journal.clone();
        move |context: Context| {
            let journal = journal.clone();
            async move {
                journal.add("begins");
                context.stopping().await;
                tokio::time::sleep(Duration::from_millis(300)).await;
                // The database still works.
                let store = context.store();
                store
                    .write(|tx| tx.execute_batch("create table done (id)"))
                    .await?;
                journal.add("ends");
                Ok(())
            }
        }
    };
    let server = start(
        app().job("long", Schedule::every(Duration::from_secs(3600)), job),
        &database,
    );
    journal.wait_for("begins", 1);
    drop(server);
    assert_eq!(journal.lines(), ["begins", "ends"]);
    let database = db::open(&database);
    let row = row(&database, "long").expect("its row");
    assert_eq!((row.succeeded_at, row.error), (row.ended_at, None));
    assert!(row.ended_at.is_some());
    database
        .execute_batch("drop table done")
        .expect("the job's table");
}

#[test]
fn a_run_that_ignores_the_stop_is_interrupted_after_the_grace_period() {
    let journal = tempfile::tempdir().expect("a temporary directory");
    let journal = Journal::beside(&journal.path().join("requests.db"));
    let endless = {
        let journal = journal.clone();
        move |_| {
            journal.add("begins");
            std::future::pending()
        }
    };
    let app = app().job("endless", every_second(), endless);
    let server = InProcessServer::start_app(app, &[("shutdown.grace", "200ms")]);
    journal.wait_for("begins", 1);
    let reason = server.stop_uncleanly();
    assert!(
        reason.contains("before every request had its response and every job had ended"),
        "{reason}"
    );
}

#[test]
fn jobs_that_do_not_run_delay_no_stop() {
    let (_directory, database, journal) = new_database();
    let job = {
        let journal = journal.clone();
        move |_| {
            journal.add("runs");
            async { Ok(()) }
        }
    };
    let app = app()
        .job("idle", Schedule::every(Duration::from_secs(3600)), job)
        .job("waiting", Schedule::daily("03:00"), async |_| Ok(()));
    let path = database.to_str().expect("text");
    // Shorter than the time between two looks at the table: a stop that waited for the next look would be unclean.
    let server =
        InProcessServer::start_app(app, &[("database.path", path), ("shutdown.grace", "4s")]);
    journal.wait_for("runs", 1);
    drop(server);
}
