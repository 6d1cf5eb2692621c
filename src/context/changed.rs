//! `Context::changed`: tells all listeners of this process that any replica has committed new records.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::store::{NewestIdError, ReadError, Store};
use crate::telemetry::log_rate_limited;

/// Between two looks at the database. Each is one look-up at the end of an index.
const INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Changed {
    newest: watch::Sender<i64>,
    subscribed: Notify,
}

impl Changed {
    pub fn new() -> Self {
        Self {
            newest: watch::Sender::new(0),
            subscribed: Notify::new(),
        }
    }

    pub fn subscribe(&self) -> watch::Receiver<i64> {
        let receiver = self.newest.subscribe();
        self.subscribed.notify_one();
        receiver
    }

    /// Looks for new records while anybody listens, until the store closes. The process runs it once.
    pub async fn poll(&self, store: Store) {
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.newest.is_closed() {
                self.subscribed.notified().await;
                continue;
            }
            looks.tick().await;
            let shown = *self.newest.borrow();
            match store.newest_id(shown).await {
                Ok(id) => self.show(id),
                Err(NewestIdError::Read(ReadError::Closed)) => return,
                Err(error @ NewestIdError::Read(_)) => {
                    log_rate_limited("looking for new records failed", &error);
                }
                // No later sync can tell what is on disk. The writer's next one fails, too, and ends the process.
                Err(error @ NewestIdError::Sync(_)) => {
                    log_rate_limited("looking for new records ends", &error);
                    return;
                }
            }
        }
    }

    /// Ignores a lower id: rows were deleted.
    fn show(&self, id: i64) {
        self.newest.send_if_modified(|newest| {
            let is_newer = id > *newest;
            *newest = id.max(*newest);
            is_newer
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_id_never_falls() {
        let changed = Changed::new();
        let mut newest = changed.subscribe();
        changed.show(2);
        assert!(newest.has_changed().unwrap());
        assert_eq!(*newest.borrow_and_update(), 2);
        for id in [2, 1] {
            changed.show(id);
            assert!(!newest.has_changed().unwrap());
            assert_eq!(*newest.borrow(), 2);
        }
    }
}
