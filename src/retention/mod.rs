//! Retention: deletes the oldest records, by age and by size.
//!
//! A job that one replica runs. It deletes the longest prefix of ids in which no row is younger than a cut-off, in small
//! steps through the writer's queue, so a step is a part of an ordinary commit. Nothing else frees space, and the file does
//! not shrink: new rows use the free pages.

mod prefix;
mod run;
mod size;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::config::Retention as Settings;
use crate::jobs::{Job, unix_now};
use crate::metrics::Metrics;
use crate::store::Store;
pub(crate) use prefix::oldest_timestamp;
use run::Retention;

/// A run that has nothing to do takes a millisecond, and its two commits. Until the next run the table may grow by
/// [`run::FREE_PERCENT`] of its bound.
const PERIOD: Duration = Duration::from_secs(30);

/// The job; none if nothing is ever deleted.
pub(crate) fn job(settings: &Settings, store: &Store, metrics: &Arc<Metrics>) -> Option<Job> {
    if settings.age.is_none() && settings.bytes_max.is_none() {
        return None;
    }
    let retention = Arc::new(Retention {
        settings: settings.clone(),
        store: store.clone(),
        metrics: metrics.clone(),
    });
    Some(Job::own("retention", PERIOD, move |context| {
        let retention = retention.clone();
        async move { Ok(retention.run(unix_now, context.stopping()).await?) }
    }))
}
