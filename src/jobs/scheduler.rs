//! Runs one job whenever it is due and no other replica runs it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::IntCounter;
use tokio::sync::watch;
use tokio::time::sleep;

use super::claim::Claim;
use super::declaration::Job;
use super::history::{History, LastRun};
use super::run::run;
use super::schedule::{CHECK_INTERVAL, UnixSeconds};
use crate::context::Context;
use crate::metrics::Metrics;
use crate::shutdown::{Phase, reached};
use crate::store::{ReadError, WriteError};
use crate::telemetry::log_rate_limited;

pub(super) struct Scheduler {
    pub job: Job,
    pub history: History,
    pub lock_path: PathBuf,
    pub context: Context,
    pub metrics: Arc<Metrics>,
    pub failures: IntCounter,
    pub phase: watch::Receiver<Phase>,
}

/// The next step, after a look at the table.
enum Next {
    /// Look again after this time.
    Wait(Duration),
    /// The job is due, or its last run was interrupted; this replica has the claim.
    Act(Claim, LastRun),
}

/// Why a look failed. It is repeated.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("{0}")]
    Read(#[from] ReadError<rusqlite::Error>),
    #[error("{0}")]
    Write(#[from] WriteError<rusqlite::Error>),
    #[error("{}: {source}", path.display())]
    Lock { path: PathBuf, source: io::Error },
}

impl Scheduler {
    /// Runs until the replica begins to stop, and then to the end of a run that has started.
    pub async fn run(mut self) {
        let mut is_declared = false;
        tokio::select! {
            () = self.stopping() => return,
            () = sleep(self.job.first_look_after) => (),
        }
        loop {
            let next = tokio::select! {
                biased;
                () = self.stopping() => return,
                next = self.look(&mut is_declared) => next,
            };
            let next = match next {
                Ok(Next::Wait(pause)) => Ok(pause),
                Ok(Next::Act(claim, last)) => self.act(claim, last).await,
                Err(error) => Err(error),
            };
            let pause = next.unwrap_or_else(|error| {
                log_rate_limited("a job's last run cannot be read or written", &error);
                CHECK_INTERVAL
            });
            tokio::select! {
                () = self.stopping() => return,
                () = sleep(pause) => (),
            }
        }
    }

    /// Reads the table, and tries to get the claim if there is something to do. It may be cancelled.
    async fn look(&self, is_declared: &mut bool) -> Result<Next, LookError> {
        if !*is_declared {
            self.history.declare(unix_now()).await?;
            *is_declared = true;
        }
        let last = self.last_run().await?;
        if !last.is_open() && !self.is_due(&last) {
            return Ok(Next::Wait(self.job.timetable.pause(&last, unix_now())));
        }
        let claim = Claim::try_take(&self.lock_path).map_err(|source| LookError::Lock {
            path: self.lock_path.clone(),
            source,
        })?;
        match claim {
            // Another replica may have run it since this one read the table.
            Some(claim) => Ok(Next::Act(claim, self.last_run().await?)),
            None => Ok(Next::Wait(CHECK_INTERVAL)),
        }
    }

    /// Completes an interrupted run, and runs the job if it is due. Nothing may cancel it: the table would say that the job
    /// runs.
    async fn act(&mut self, _claim: Claim, last: LastRun) -> Result<Duration, LookError> {
        if last.is_open() {
            let error = "its process ended before the run did".to_owned();
            self.record_end(Err(error)).await;
        }
        if self.is_due(&last) {
            self.history.start(unix_now()).await?;
            tracing::debug!(job = self.job.name, "a job starts");
            let result = run(&self.job, self.context.clone()).await;
            self.record_end(result).await;
        }
        let last = self.last_run().await?;
        Ok(self.job.timetable.pause(&last, unix_now()))
    }

    /// Reports the end of a run, and records it. Until it is recorded, the claim must be kept: without its end the run counts
    /// as interrupted.
    async fn record_end(&mut self, result: Result<(), String>) {
        let now = unix_now();
        let job = &self.job.name;
        match &result {
            Ok(()) => tracing::debug!(job, "a job has succeeded"),
            Err(error) => {
                self.failures.inc();
                tracing::error!(job, error, "a job has failed");
            }
        }
        let error = result.err();
        while let Err(cause) = self.history.end(now, error.as_deref()).await {
            log_rate_limited("the end of a job's run cannot be recorded", &cause);
            tokio::select! {
                () = sleep(CHECK_INTERVAL) => (),
                () = reached(&mut self.phase, Phase::Expired) => return,
            }
        }
    }

    /// The job's last run over all replicas, which the metrics then show.
    async fn last_run(&self) -> Result<LastRun, LookError> {
        let last = match self.history.last_run().await? {
            Some(last) => last,
            // An operator has deleted the row.
            None => {
                self.history.declare(unix_now()).await?;
                self.history.last_run().await?.unwrap_or_default()
            }
        };
        let job = [self.job.name.as_str()];
        let metrics = &self.metrics;
        if let Some(succeeded_at) = last.succeeded_at {
            let gauge = metrics
                .job_last_success_timestamp_seconds
                .with_label_values(&job);
            gauge.set(succeeded_at);
        }
        let gauge = metrics
            .job_overdue_timestamp_seconds
            .with_label_values(&job);
        gauge.set(self.job.timetable.overdue_at(&last));
        Ok(last)
    }

    fn is_due(&self, last: &LastRun) -> bool {
        let now = unix_now();
        self.job.timetable.due_at(last, now) <= now
    }

    fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut phase = self.phase.clone();
        async move { reached(&mut phase, Phase::Draining).await }
    }
}

/// The wall clock: a schedule must outlive the process.
pub(crate) fn unix_now() -> UnixSeconds {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
