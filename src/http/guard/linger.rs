//! The lingering close: after the sending side is shut down, keep reading and discarding for a while. Closing at once
//! would reset the connection, and the client could lose the response.

use std::time::Duration;

use tokio::time::Instant;

/// How long a client that is still sending has to read its response before the connection is closed.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// How many bytes are discarded during that time.
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Linger {
    since: Instant,
    bytes_left: usize,
    /// Whether any bytes from the client are, or were, unread.
    has_unread: bool,
}

impl Linger {
    /// The sending side is shut down now.
    pub(super) fn start(has_unread: bool) -> Self {
        Self {
            since: Instant::now(),
            bytes_left: LINGER_BYTES_MAX,
            has_unread,
        }
    }

    /// Counts bytes that were read and discarded. Returns whether that was the last byte allowed.
    pub(super) fn discard(&mut self, bytes: usize) -> bool {
        self.has_unread = true;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.bytes_left == 0
    }

    /// Whether there is nothing to wait for. hyper may poll once more after the end; that also ends at once.
    pub(super) fn is_over(&self) -> bool {
        !self.has_unread || self.bytes_left == 0
    }

    /// When to stop. `closing_since`: when the server began to close connections. Then the time is `closing_timeout`:
    /// this request has its response, and must not use up the grace period of open requests.
    pub(super) fn deadline(
        &self,
        closing_since: Option<Instant>,
        closing_timeout: Duration,
    ) -> Instant {
        let deadline = self.since + LINGER_TIMEOUT;
        match closing_since {
            Some(closing) => deadline.min(closing.max(self.since) + closing_timeout),
            None => deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_after_a_clean_shutdown_start_the_linger_and_16_mib_end_it() {
        let mut linger = Linger::start(false);
        assert!(linger.is_over());
        assert!(!linger.discard(1) && !linger.is_over());
        assert!(!linger.discard(LINGER_BYTES_MAX - 2) && !linger.is_over());
        assert!(linger.discard(1) && linger.is_over());
    }
}
