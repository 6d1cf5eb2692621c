//! Whether this replica should get requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::shutdown::Phase;
use crate::store::{Store, WriterState};

/// Computed when asked for, so that it is right again by itself.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    store: Store,
    phase: watch::Receiver<Phase>,
    commit_deadline: Duration,
}

/// Why a replica is not ready, in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// A shutdown has begun.
    #[error("draining: a shutdown has begun")]
    Draining,
    /// `commit.deadline` has passed without the lock.
    #[error("the writer has waited longer than commit.deadline for the write lock")]
    WaitingForLock,
    /// `commit.deadline` has passed within one commit.
    #[error("a commit has taken longer than commit.deadline")]
    SlowCommit,
}

impl Readiness {
    /// `commit_deadline` is `commit.deadline`.
    pub fn new(store: Store, phase: watch::Receiver<Phase>, commit_deadline: Duration) -> Self {
        Self(Arc::new(Inner {
            store,
            phase,
            commit_deadline,
        }))
    }

    /// Ready, or why not.
    ///
    /// # Errors
    /// [`NotReady`].
    pub fn check(&self) -> Result<(), NotReady> {
        if self.is_draining() {
            return Err(NotReady::Draining);
        }
        let (state, since) = self.0.store.writer().current();
        match state {
            _ if since <= self.0.commit_deadline => Ok(()),
            WriterState::Idle => Ok(()),
            WriterState::WaitingForLock => Err(NotReady::WaitingForLock),
            WriterState::Committing => Err(NotReady::SlowCommit),
        }
    }

    /// Whether a shutdown has begun.
    pub fn is_draining(&self) -> bool {
        *self.0.phase.borrow() > Phase::Running
    }
}
