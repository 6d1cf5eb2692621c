//! Counts the bytes of all request bodies, in memory or on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::BodyError;

/// Bytes for all request bodies of the process.
#[derive(Clone)]
pub(super) struct Budget {
    used: Arc<AtomicU64>,
    max: u64,
}

impl Budget {
    pub fn new(max: u64) -> Self {
        Self {
            used: Arc::default(),
            max,
        }
    }

    fn reserve(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.used.fetch_update(Relaxed, Relaxed, fits).is_ok()
    }

    #[cfg(test)]
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }
}

/// Bytes reserved from a budget; dropping it returns them.
pub(super) struct Reservation {
    bytes: u64,
    budget: Budget,
}

impl Reservation {
    /// Of no bytes yet.
    pub fn new(budget: Budget) -> Self {
        Self { bytes: 0, budget }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn grow_to(&mut self, bytes: u64) -> Result<(), BodyError> {
        if !self.budget.reserve(bytes - self.bytes) {
            return Err(BodyError::Memory);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}
