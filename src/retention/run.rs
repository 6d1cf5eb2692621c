//! One run: looks at the oldest rows, and deletes them in small steps.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::time::sleep;

use super::prefix::{self, CutOff};
use super::size;
use crate::config::Retention as Settings;
use crate::jobs::UnixSeconds;
use crate::metrics::Metrics;
use crate::store::{ReadError, Store, WriteError};

/// This share of `bytes_max` stays free after a run: room for the rows until the next one, and for the error of the estimate.
pub(super) const FREE_PERCENT: u64 = 5;

/// A step ends after so much time or so many rows, because every replica waits for it. 1,000 rows take a fifth of a
/// millisecond; long paths, and indexes on a slow disk, take longer.
const STEP_TIME_MAX: Duration = Duration::from_millis(2);
const STEP_ROWS_MAX: usize = 2000;
/// Between two looks at the clock.
const CHUNK_ROWS: usize = 64;
/// After a step, a pause of so many times its duration with its wait in the queue. So retention uses a third of the time that
/// is left at most, and gives way under load. It has the priority of other writes: at a lower one, the thread that holds the
/// write lock would wait for a processor, and all replicas for the thread.
///
/// Measured on two busy cores with two replicas, `full`, and a backlog of 10 M rows (2026-11-30). At 64 clients 68,000 to 84,000
/// rows a second were deleted beside 25,000 to 31,000 requests, whose p99 was 6 to 7 ms longer. At 8 clients it was up to 208,000
/// rows, and the p99 was not longer.
const PAUSE: u32 = 2;

pub(super) struct Retention {
    pub settings: Settings,
    pub store: Store,
    pub metrics: Arc<Metrics>,
}

/// Why a run failed. The next one goes on where it ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("old records cannot be read: {0}")]
    Read(#[from] ReadError<rusqlite::Error>),
    #[error("old records cannot be deleted: {0}")]
    Write(#[from] WriteError<rusqlite::Error>),
    #[error("the size of the file system cannot be read: {0}")]
    Disk(#[from] std::io::Error),
    #[error(
        "the table `requests` takes {bytes} bytes, more than `retention.bytes_max`, {bytes_max}, and no older record may be \
         deleted: lower `retention.protect`, {protect}, or raise `retention.bytes_max`"
    )]
    Protected {
        bytes: u64,
        bytes_max: u64,
        protect: String,
    },
}

/// The end of a deletion.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// As many rows as asked for are gone.
    Enough,
    /// The next row is too young, or there is none.
    TooYoung {
        deleted: usize,
    },
    Stopping,
}

impl Retention {
    /// Runs until the records are within their bounds, or until `stopping`.
    pub async fn run(
        &self,
        now: impl Fn() -> UnixSeconds,
        stopping: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let result = self.delete_all(&now, pin!(stopping)).await;
        self.show_oldest(now()).await?;
        result
    }

    async fn delete_all<S: Future<Output = ()> + Unpin>(
        &self,
        now: &impl Fn() -> UnixSeconds,
        mut stopping: S,
    ) -> Result<(), RunError> {
        if let Some(age) = self.settings.age {
            let cut_off = |now: UnixSeconds| now - age.get().as_secs_f64();
            let end = self.delete(now, cut_off, usize::MAX, &mut stopping);
            if end.await? == End::Stopping {
                return Ok(());
            }
        }
        if let Some(bytes_max) = self.settings.bytes_max {
            let bytes_max = bytes_max.of(self.store.disk_bytes()?);
            self.bound(now, bytes_max, stopping).await?;
        }
        Ok(())
    }

    /// Deletes the oldest rows until the table is within `bytes_max`.
    async fn bound<S: Future<Output = ()> + Unpin>(
        &self,
        now: &impl Fn() -> UnixSeconds,
        bytes_max: u64,
        mut stopping: S,
    ) -> Result<(), RunError> {
        let protect = self.settings.protect;
        let cut_off = |now: UnixSeconds| now - protect.get().as_secs_f64();
        let wanted = bytes_max / 100 * (100 - FREE_PERCENT);
        loop {
            let reader = self.store.admin_reader();
            let Some(size) = reader.read(move |db| size::above(db, wanted)).await? else {
                return Ok(());
            };
            let excess = (size.bytes - wanted) as f64 / size.bytes as f64 * size.rows;
            let rows = (excess.ceil() as usize).max(1);
            match self.delete(now, cut_off, rows, &mut stopping).await? {
                End::Enough | End::TooYoung { deleted: 1.. } => (),
                End::TooYoung { deleted: 0 } if size.bytes > bytes_max => {
                    return Err(RunError::Protected {
                        bytes: size.bytes,
                        bytes_max,
                        protect: protect.to_string(),
                    });
                }
                End::TooYoung { deleted: 0 } | End::Stopping => return Ok(()),
            }
        }
    }

    /// Deletes the oldest rows: at most `rows_max`, none of them younger than the cut-off.
    async fn delete<S: Future<Output = ()> + Unpin>(
        &self,
        now: &impl Fn() -> UnixSeconds,
        cut_off: impl Fn(UnixSeconds) -> UnixSeconds,
        rows_max: usize,
        mut stopping: S,
    ) -> Result<End, RunError> {
        let mut deleted = 0;
        let mut next = Some(i64::MIN);
        while let Some(from) = next {
            let now = now();
            let cut_off = CutOff {
                at: cut_off(now),
                now,
            };
            let reader = self.store.admin_reader();
            let look = tokio::select! {
                biased;
                () = &mut stopping => return Ok(End::Stopping),
                look = reader.read(move |db| cut_off.look(db, from)) => look?,
            };
            next = look.next;
            let Some(until) = look.until else {
                continue;
            };
            // Odd rows of earlier looks may lie before these, so there can be several steps.
            loop {
                let begun = Instant::now();
                let step_rows = (rows_max - deleted).min(STEP_ROWS_MAX);
                let write = self
                    .store
                    .write(move |tx| delete_step(tx, until, step_rows));
                let step = write.await?;
                self.metrics
                    .retention_deleted_records_total
                    .inc_by(step.rows as u64);
                deleted += step.rows;
                if deleted >= rows_max {
                    return Ok(End::Enough);
                }
                tokio::select! {
                    biased;
                    () = &mut stopping => return Ok(End::Stopping),
                    () = sleep(begun.elapsed() * PAUSE) => (),
                }
                if step.is_complete {
                    break;
                }
            }
        }
        Ok(End::TooYoung { deleted })
    }

    async fn show_oldest(&self, now: UnixSeconds) -> Result<(), RunError> {
        let reader = self.store.admin_reader();
        if let Some(oldest) = reader
            .read(move |db| prefix::oldest_timestamp(db, now))
            .await?
        {
            let gauge = &self.metrics.retention_oldest_record_timestamp_seconds;
            gauge.with_label_values::<&str>(&[]).set(oldest);
        }
        Ok(())
    }
}

/// The result of a step.
struct Step {
    rows: usize,
    /// No row up to the wanted id is left.
    is_complete: bool,
}

/// Deletes the first `rows_max` rows up to the id `until`, or fewer if the time is up.
///
/// SQLite fills the freed pages with zeros, which it writes anyway: the log is as long and the step as fast. So a deleted record
/// is gone from the file, and a compressed copy of the free pages takes nothing: the backup shrinks.
fn delete_step(tx: &Connection, until: i64, rows_max: usize) -> rusqlite::Result<Step> {
    let fill = |on: bool| tx.pragma_update_and_check(None, "secure_delete", on, |_| Ok(()));
    fill(true)?;
    let step = delete_rows(tx, until, rows_max);
    // The application's own deletions are as they were.
    fill(false)?;
    step
}

fn delete_rows(tx: &Connection, until: i64, rows_max: usize) -> rusqlite::Result<Step> {
    let begun = Instant::now();
    let mut statement = tx.prepare_cached(
        "delete from requests where id <= (select max(id) from (select id from requests where id <= ? order by id limit ?))",
    )?;
    let mut rows = 0;
    while rows < rows_max && begun.elapsed() < STEP_TIME_MAX {
        let chunk = (rows_max - rows).min(CHUNK_ROWS);
        let deleted = statement.execute((until, chunk as i64))?;
        rows += deleted;
        if deleted < chunk {
            return Ok(Step {
                rows,
                is_complete: true,
            });
        }
    }
    Ok(Step {
        rows,
        is_complete: false,
    })
}
