//! Stops a running server within `shutdown.drain_delay` plus `shutdown.grace`: connections and jobs first, then the writer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::jobs::Jobs;
use crate::process::exit::{ServeError, StopOutcome, writer_error};
use crate::shutdown::{Phase, Shutdown};
use crate::store::{FatalError, Store};

/// Time after the grace period for the last 503s to leave, and for an idle writer to close the database.
const FLUSH: Duration = Duration::from_secs(1);

/// The accept loops and connections of the public listeners.
pub struct PublicSide {
    /// The accept loops; they end at [`Phase::Closing`].
    pub accept_loops: JoinSet<()>,
    /// All permits are free when no connection is open.
    pub connections: Arc<Semaphore>,
}

pub struct Drain<'a> {
    pub config: &'a Config,
    pub shutdown: &'a Shutdown,
    pub public: &'a mut PublicSide,
    pub store: &'a Store,
    pub jobs: &'a mut Jobs,
    pub writer_ended: &'a mut oneshot::Receiver<Result<(), FatalError>>,
}

impl Drain<'_> {
    pub async fn run(mut self) -> Result<StopOutcome, ServeError> {
        self.shutdown.enter(Phase::Draining);
        let delay = tokio::time::sleep(self.config.shutdown.drain_delay.get());
        self.unless_writer_ends(delay).await?;
        self.shutdown.enter(Phase::Closing);
        let deadline = Instant::now() + self.config.shutdown.grace.get();
        // Jobs have seen the first phase, and end meanwhile.
        if !self.close_connections(deadline).await? {
            self.refuse_open_requests().await?;
            return Ok(StopOutcome::GraceExpired);
        }
        if !self.end_jobs(deadline).await? {
            return Ok(StopOutcome::GraceExpired);
        }
        self.store.close_readers();
        self.finish_writing(deadline).await
    }

    /// Returns whether all connections closed before `deadline`.
    async fn close_connections(&mut self, deadline: Instant) -> Result<bool, ServeError> {
        let PublicSide {
            accept_loops,
            connections,
        } = &mut *self.public;
        let permits = permits(self.config);
        let all_closed = async {
            // The semaphore is fair: to ask for all permits first would block the accept loops, which still need
            // permits for connections in the kernel's queue.
            while accept_loops.join_next().await.is_some() {}
            let _ = connections.acquire_many(permits).await;
        };
        tokio::select! {
            closed = timeout_at(deadline, all_closed) => Ok(closed.is_ok()),
            result = &mut *self.writer_ended => Err(writer_error(result)),
        }
    }

    /// Returns whether all jobs ended before `deadline`.
    async fn end_jobs(&mut self, deadline: Instant) -> Result<bool, ServeError> {
        let ended = tokio::select! {
            ended = timeout_at(deadline, self.jobs.ended()) => ended.is_ok(),
            result = &mut *self.writer_ended => return Err(writer_error(result)),
        };
        if !ended {
            tracing::error!(
                grace = %self.config.shutdown.grace,
                "shutdown.grace is over: a job that still runs is interrupted"
            );
            self.shutdown.enter(Phase::Expired);
        }
        Ok(ended)
    }

    /// The grace period is over: open requests get 503.
    async fn refuse_open_requests(&mut self) -> Result<(), ServeError> {
        tracing::error!(
            grace = %self.config.shutdown.grace,
            queue_records = self.store.queue_records(),
            "shutdown.grace is over: requests that are still open get 503"
        );
        // The queue first, so that no new record enters it.
        self.store.reject_all();
        self.shutdown.enter(Phase::Expired);
        let connections = self.public.connections.clone();
        let all_closed = connections.acquire_many(permits(self.config));
        let flushed = timeout_at(Instant::now() + FLUSH, all_closed);
        self.unless_writer_ends(flushed).await.map(drop)
    }

    /// Lets the writer commit the queue and close the database. No request is open, but a task that a handler left in the
    /// background may have written.
    async fn finish_writing(self, deadline: Instant) -> Result<StopOutcome, ServeError> {
        // An idle writer has only to close the database, or waits for a lock on behalf of records that have expired:
        // neither is worth the whole grace period.
        let deadline = match self.store.is_idle() {
            true => deadline.min(Instant::now() + FLUSH),
            false => deadline,
        };
        self.store.stop();
        match timeout_at(deadline, self.writer_ended).await {
            Ok(Ok(Ok(()))) => Ok(StopOutcome::Drained),
            Ok(result) => Err(writer_error(result)),
            Err(_) if self.store.is_idle() => Ok(StopOutcome::Drained),
            Err(_) => Ok(StopOutcome::GraceExpired),
        }
    }

    async fn unless_writer_ends<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, ServeError> {
        tokio::select! {
            output = future => Ok(output),
            result = &mut *self.writer_ended => Err(writer_error(result)),
        }
    }
}

fn permits(config: &Config) -> u32 {
    config.http.connections_max.get() as u32
}
