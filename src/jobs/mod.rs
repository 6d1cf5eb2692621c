//! Jobs: work on a schedule, the application's and daybook's own. One replica runs each.
//!
//! Every replica has a [`scheduler`](Scheduler) for each job. It reads the job's last run (`history`), and when the next one
//! is due (`schedule`) it tries to get the job's lock file (`claim`). The replica that gets it runs the job on a thread of
//! the job's own (`run`).

mod claim;
mod declaration;
mod history;
mod run;
mod schedule;
mod scheduler;

use std::sync::Arc;
use std::{io, thread};

use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::context::Context;
use crate::metrics::Metrics;
use crate::shutdown::Phase;
use crate::store::Store;
pub use declaration::JobError;
pub(crate) use declaration::{Declaration, Job, check};
use history::History;
pub(crate) use history::{JobState, states};
pub use schedule::Schedule;
pub(crate) use schedule::UnixSeconds;
use scheduler::Scheduler;
pub(crate) use scheduler::unix_now;

/// The name of the canary. It runs no jobs: the replicas of the current version do.
const CANARY: &str = "next";

/// The jobs of a running replica.
pub(crate) struct Jobs {
    /// Resolves when no job runs and none will.
    ended: oneshot::Receiver<()>,
}

/// The parts of a replica that its jobs use.
pub(crate) struct JobsEnvironment<'a> {
    pub replica: &'a str,
    pub context: &'a Context,
    pub store: &'a Store,
    pub metrics: &'a Arc<Metrics>,
    pub phase: watch::Receiver<Phase>,
}

impl Jobs {
    /// Schedules `jobs` on a thread of their own, until `phase` is [`Phase::Draining`].
    ///
    /// # Errors
    /// The thread or its runtime cannot be started.
    pub fn start(jobs: Vec<Job>, with: JobsEnvironment<'_>) -> io::Result<Self> {
        let (sender, ended) = oneshot::channel();
        if with.replica == CANARY && !jobs.is_empty() {
            tracing::info!("this replica is {CANARY:?}: it runs no jobs");
        } else if !jobs.is_empty() {
            let schedulers: Vec<_> = jobs.into_iter().map(|job| with.scheduler(job)).collect();
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let schedule = async {
                let mut tasks: JoinSet<()> = schedulers.into_iter().map(Scheduler::run).collect();
                // A panic is a defect of daybook. The hook has logged it, and the other jobs go on.
                while tasks.join_next().await.is_some() {}
            };
            thread::Builder::new()
                .name("jobs".to_owned())
                .spawn(move || {
                    runtime.block_on(schedule);
                    drop(sender);
                })?;
        }
        Ok(Self { ended })
    }

    /// Waits until no job runs, after the phase [`Phase::Draining`]. To be called once.
    pub async fn ended(&mut self) {
        // The sender is dropped at the end, which is an error here.
        let _ = (&mut self.ended).await;
    }
}

impl JobsEnvironment<'_> {
    fn scheduler(&self, job: Job) -> Scheduler {
        Scheduler {
            history: History {
                job: job.name.clone(),
                store: self.store.clone(),
            },
            lock_path: claim::path(self.store.path(), &job.name),
            context: self.context.clone(),
            metrics: self.metrics.clone(),
            // From the start, at 0.
            failures: (self.metrics.job_failures_total).with_label_values(&[&job.name]),
            phase: self.phase.clone(),
            job,
        }
    }
}
