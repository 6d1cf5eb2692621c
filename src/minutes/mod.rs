//! The job `daybook-minutes`: adds up the requests of each minute in the table `daybook_minutes`.
//!
//! It reads rows in the order of their ids, on a read connection, and remembers how far it got. A row that comes late is added to
//! the minute in which its request arrived, however long ago that is. A row counts once, so it must have its final status: a
//! handler's `write` can commit it earlier. The job waits for the status, but not longer than [`step::SETTLE_SECONDS`].

mod step;

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::context::{BoxError, Context};
use crate::jobs::{Job, unix_now};
use crate::store::Store;

/// A run writes three rows, so it costs a server without requests three commits. What it has not added yet, a reader of
/// figures has to read: 0.3 s at 1 M rows.
const PERIOD: Duration = Duration::from_secs(60);

/// The job.
pub(crate) fn job(store: &Store) -> Job {
    let store = store.clone();
    let job = Job::own("minutes", PERIOD, move |context| {
        run(store.clone(), context)
    });
    job.first_look_after(PERIOD)
}

/// Adds all rows that are new. It pauses for as long as each step took: after an upgrade there can be millions of rows.
async fn run(store: Store, context: Context) -> Result<(), BoxError> {
    loop {
        let begun = Instant::now();
        let now = unix_now();
        let step = store
            .admin_reader()
            .read(move |connection| step::read(connection, now))
            .await?;
        let has_more = step.has_more;
        if step.is_news() {
            store.write(move |tx| step.write(tx)).await?;
        }
        if !has_more {
            return Ok(());
        }
        tokio::select! {
            () = context.stopping() => return Ok(()),
            () = sleep(begun.elapsed()) => (),
        }
    }
}
