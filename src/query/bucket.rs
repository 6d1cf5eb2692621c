//! The bucket of figures over time.

/// How much time is added up to one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bucket {
    TenSeconds,
    Minute,
    FiveMinutes,
    Hour,
    Day,
}

impl Bucket {
    pub const ALL: [Self; 5] = [
        Self::TenSeconds,
        Self::Minute,
        Self::FiveMinutes,
        Self::Hour,
        Self::Day,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::TenSeconds => "10s",
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.name() == text)
    }

    pub fn seconds(self) -> i64 {
        match self {
            Self::TenSeconds => 10,
            Self::Minute => 60,
            Self::FiveMinutes => 300,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    /// The time before the end that is shown if the reader names none.
    pub fn default_seconds(self) -> i64 {
        match self {
            Self::TenSeconds => 600,
            Self::Minute => 3600,
            Self::FiveMinutes => 6 * 3600,
            Self::Hour => 86_400,
            Self::Day => 30 * 86_400,
        }
    }
}
