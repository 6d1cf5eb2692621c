//! Whether this replica should get requests: `/readyz` and the health path.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::shutdown::Phase;
use crate::store::{Store, WriterState};

/// Computed on each call, so a replica becomes ready again without an event.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    store: Store,
    phase: watch::Receiver<Phase>,
    commit_deadline: Duration,
}

/// Why a replica is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    #[error("draining: a shutdown has begun")]
    Draining,
    #[error("the writer has waited longer than commit.deadline for the write lock")]
    WaitingForLock,
    #[error("a commit has taken longer than commit.deadline")]
    SlowCommit,
}

impl Readiness {
    pub fn new(store: Store, phase: watch::Receiver<Phase>, commit_deadline: Duration) -> Self {
        Self(Arc::new(Inner {
            store,
            phase,
            commit_deadline,
        }))
    }

    /// Returns why the replica is not ready, if it is not.
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

    pub fn is_draining(&self) -> bool {
        *self.0.phase.borrow() > Phase::Running
    }
}
