//! The end of a server that was told to stop: from the signal to the last connection and the last record.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::process::exit::{ServeError, StopOutcome, why_writer_ended};
use crate::shutdown::{Phase, Shutdown};
use crate::store::{FatalError, Reader, Store};

/// How long the last answers, those 503, have to leave after the grace period; and the writer to end where it has
/// nothing to write.
const FLUSH: Duration = Duration::from_secs(1);

/// What runs on the public listeners.
pub struct Public {
    /// The accepting loops; they end at [`Phase::Closing`].
    pub listeners: JoinSet<()>,
    /// Every permit is back when no connection is left.
    pub connections: Arc<Semaphore>,
}

/// What a drain takes to its end.
pub struct Drain<'a> {
    pub config: &'a Config,
    pub shutdown: &'a Shutdown,
    pub public: &'a mut Public,
    pub store: &'a Store,
    pub reader: &'a Reader,
    pub writer_ended: &'a mut oneshot::Receiver<Result<(), FatalError>>,
}

impl Drain<'_> {
    /// From the first signal to the end. It takes `shutdown.drain_delay`, `shutdown.grace` for all that follows, and
    /// little more.
    pub async fn run(mut self) -> Result<StopOutcome, ServeError> {
        self.shutdown.enter(Phase::Draining);
        let delay = tokio::time::sleep(self.config.shutdown.drain_delay);
        self.unless_the_writer_ends(delay).await?;
        self.shutdown.enter(Phase::Closing);
        let deadline = Instant::now() + self.config.shutdown.grace;
        if self.close_connections(deadline).await? {
            self.reader.close();
            self.finish_writing(deadline).await
        } else {
            self.refuse_the_rest().await?;
            Ok(StopOutcome::GraceExpired)
        }
    }

    /// Whether all of them have closed by the deadline.
    async fn close_connections(&mut self, deadline: Instant) -> Result<bool, ServeError> {
        let Public {
            listeners,
            connections,
        } = &mut *self.public;
        let all = permits(self.config);
        let all_closed = async {
            // First the listeners, which need permits for what is queued: whoever waits for all permits goes before
            // them.
            while listeners.join_next().await.is_some() {}
            let _ = connections.acquire_many(all).await;
        };
        tokio::select! {
            closed = timeout_at(deadline, all_closed) => Ok(closed.is_ok()),
            ended = &mut *self.writer_ended => Err(why_writer_ended(ended)),
        }
    }

    /// The end of the grace period.
    async fn refuse_the_rest(&mut self) -> Result<(), ServeError> {
        tracing::error!(
            grace = ?self.config.shutdown.grace,
            queue_records = self.store.queue_records(),
            "open requests have outlasted shutdown.grace: the rest is answered 503"
        );
        // First the queue, so that nothing gets into it any more.
        self.store.reject_all();
        self.shutdown.enter(Phase::Expired);
        let connections = self.public.connections.clone();
        let flushed = connections.acquire_many(permits(self.config));
        let flushed = timeout_at(Instant::now() + FLUSH, flushed);
        self.unless_the_writer_ends(flushed).await.map(drop)
    }

    /// Lets the writer commit what is still queued, and close the database. No request is open any more, but what a
    /// handler has left running in the background may have written.
    async fn finish_writing(self, deadline: Instant) -> Result<StopOutcome, ServeError> {
        // What is idle now stays so. Then the writer closes the database, or still waits for a lock that others hold,
        // for records that have expired meanwhile: neither is worth the whole grace period.
        let deadline = match self.store.is_idle() {
            true => deadline.min(Instant::now() + FLUSH),
            false => deadline,
        };
        self.store.stop();
        match timeout_at(deadline, self.writer_ended).await {
            Ok(Ok(Ok(()))) => Ok(StopOutcome::Drained),
            Ok(ended) => Err(why_writer_ended(ended)),
            Err(_) if self.store.is_idle() => Ok(StopOutcome::Drained),
            Err(_) => Ok(StopOutcome::GraceExpired),
        }
    }

    async fn unless_the_writer_ends<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, ServeError> {
        tokio::select! {
            output = future => Ok(output),
            ended = &mut *self.writer_ended => Err(why_writer_ended(ended)),
        }
    }
}

fn permits(config: &Config) -> u32 {
    config.http.connections_max as u32
}
