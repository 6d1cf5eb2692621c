//! Why a connection was closed without a response: a label in the metrics.

/// Why the guard closed a connection without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The first head did not begin in time.
    HeaderTimeout,
    /// No further request arrived in time.
    IdleTimeout,
    /// The client read nothing of its response.
    WriteTimeout,
    /// It was idle but held memory of a large head, which others needed.
    Memory,
}

impl CloseReason {
    /// Every reason, so that each metric starts at zero.
    pub const ALL: [Self; 4] = [
        Self::HeaderTimeout,
        Self::IdleTimeout,
        Self::WriteTimeout,
        Self::Memory,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Memory => "memory",
        }
    }
}
