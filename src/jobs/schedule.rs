//! When a job runs: what an application writes, and the arithmetic of it.

use std::time::Duration;

use super::history::LastRun;

/// Seconds since 1970, as in the table `requests`.
pub(crate) type UnixSeconds = f64;

const DAY: f64 = 24.0 * 60.0 * 60.0;
/// Longest time between two looks at the table: another replica may have run the job, or have died, and the clock may have
/// been set.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Each run writes two rows, which wait for the lock that all replicas share.
const PERIOD_MIN: Duration = Duration::from_secs(1);
const PERIOD_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// When a job runs. A mistake in it is reported when the program starts.
#[derive(Clone, Debug)]
pub struct Schedule(Declared);

#[derive(Clone, Debug)]
enum Declared {
    Every(Duration),
    Daily(String),
}

impl Schedule {
    /// Each `period`, counted from the start of the last run: from one second to 365 days. The first run is at once. A run that takes
    /// longer than the period is followed by the next one at once.
    pub fn every(period: Duration) -> Self {
        Self(Declared::Every(period))
    }

    /// Once a day at `time`, in UTC: `"03:00"`. If no replica runs at that time, the job runs once when the next one starts.
    pub fn daily(time: &str) -> Self {
        Self(Declared::Daily(time.to_owned()))
    }

    /// # Errors
    /// What is wrong, and what would be right.
    pub(super) fn check(&self) -> Result<Timetable, String> {
        match &self.0 {
            Declared::Every(period) if (PERIOD_MIN..=PERIOD_MAX).contains(period) => {
                Ok(Timetable::Every(period.as_secs_f64()))
            }
            Declared::Every(period) => Err(format!(
                "Schedule::every({period:?}): write a period from 1 second to 365 days"
            )),
            Declared::Daily(time) => match seconds_of_day(time) {
                Some(seconds) => Ok(Timetable::Daily(seconds)),
                None => Err(format!(
                    "Schedule::daily({time:?}): write a time of day in UTC from \"00:00\" to \"23:59\""
                )),
            },
        }
    }
}

/// `HH:MM`, in seconds since midnight.
fn seconds_of_day(time: &str) -> Option<f64> {
    let (hours, minutes) = time.split_once(':')?;
    let minutes = two_digits(hours, 24)? * 60 + two_digits(minutes, 60)?;
    Some(f64::from(minutes * 60))
}

/// A number below `end`.
fn two_digits(digits: &str, end: u32) -> Option<u32> {
    let is_valid = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_valid)?;
    (number < end).then_some(number)
}

/// A [`Schedule`] that is valid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Timetable {
    /// The period in seconds.
    Every(f64),
    /// Seconds since midnight, UTC.
    Daily(f64),
}

impl Timetable {
    pub fn period_seconds(self) -> f64 {
        match self {
            Self::Every(period) => period,
            Self::Daily(_) => DAY,
        }
    }

    /// When the next run is due. A time that is not after `now` means at once.
    ///
    /// The clock may have been set back since the last run. If that lies more than a period in the future, the job is due at
    /// once; otherwise it is due at most two periods after it really ran.
    pub fn due_at(self, last: &LastRun, now: UnixSeconds) -> UnixSeconds {
        let began_at = match (self, last.started_at) {
            (_, Some(started_at)) => started_at,
            (Self::Every(_), None) => return now,
            // It has missed no run before it was declared.
            (Self::Daily(_), None) => last.declared_at,
        };
        if began_at > now + self.period_seconds() {
            return now;
        }
        match self {
            Self::Every(period) => began_at + period,
            Self::Daily(time) => ((began_at - time) / DAY).floor() * DAY + DAY + time,
        }
    }

    /// The time until the next look at the table: until the job is due, but not longer than [`CHECK_INTERVAL`].
    pub fn pause(self, last: &LastRun, now: UnixSeconds) -> Duration {
        let seconds = self.due_at(last, now) - now;
        Duration::from_secs_f64(seconds.clamp(0.0, CHECK_INTERVAL.as_secs_f64()))
    }

    /// The time after which the job counts as overdue: one missed or failed run is no reason to call anybody.
    pub fn overdue_at(self, last: &LastRun) -> UnixSeconds {
        let succeeded_at = last.succeeded_at.unwrap_or(last.declared_at);
        succeeded_at + 2.0 * self.period_seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A midnight, UTC.
    const MIDNIGHT: f64 = 20_000.0 * DAY;
    const HOUR: f64 = 3600.0;

    fn started(started_at: f64) -> LastRun {
        LastRun {
            declared_at: MIDNIGHT - 100.0 * DAY,
            started_at: Some(started_at),
            ..LastRun::default()
        }
    }

    fn declared(declared_at: f64) -> LastRun {
        LastRun {
            declared_at,
            ..LastRun::default()
        }
    }

    fn daily(time: &str) -> Timetable {
        Schedule::daily(time).check().expect("a valid time")
    }

    #[test]
    fn every_counts_from_the_last_start() {
        let hourly = Timetable::Every(HOUR);
        assert_eq!(
            hourly.due_at(&started(MIDNIGHT), MIDNIGHT + 1.0),
            MIDNIGHT + HOUR
        );
        // After a downtime of days it is due, once: the run that follows is the new last start.
        let now = MIDNIGHT + 5.0 * DAY;
        assert!(hourly.due_at(&started(MIDNIGHT), now) <= now);
        assert_eq!(hourly.due_at(&started(now), now), now + HOUR);
    }

    #[test]
    fn every_runs_at_once_the_first_time_and_daily_waits_for_its_time() {
        let now = MIDNIGHT + 12.0 * HOUR;
        assert_eq!(Timetable::Every(HOUR).due_at(&declared(now), now), now);
        assert_eq!(daily("13:00").due_at(&declared(now), now), now + HOUR);
        assert_eq!(
            daily("03:00").due_at(&declared(now), now),
            now + 15.0 * HOUR
        );
        // No replica ran at the first time: it is made up.
        let later = now + 20.0 * HOUR;
        assert!(daily("03:00").due_at(&declared(now), later) <= later);
    }

    #[test]
    fn daily_runs_once_for_each_time() {
        let three = MIDNIGHT + 3.0 * HOUR;
        let timetable = daily("03:00");
        for started_at in [three, three + 0.001, three + 23.9 * HOUR] {
            let due_at = timetable.due_at(&started(started_at), started_at);
            assert_eq!(due_at, three + DAY, "started at {started_at}");
        }
        assert_eq!(timetable.due_at(&started(three - 0.001), three), three);
    }

    #[test]
    fn the_next_look_is_when_the_job_is_due_or_after_five_seconds() {
        let hourly = Timetable::Every(HOUR);
        for (until_due, pause) in [(HOUR, 5.0), (4.5, 4.5), (0.0, 0.0), (-10.0, 0.0)] {
            let now = MIDNIGHT + HOUR - until_due;
            let found = hourly.pause(&started(MIDNIGHT), now);
            assert_eq!(found.as_secs_f64(), pause, "due in {until_due} s");
        }
    }

    #[test]
    fn a_missed_daily_run_is_made_up_once() {
        let timetable = daily("03:00");
        let now = MIDNIGHT + 9.0 * HOUR;
        assert!(timetable.due_at(&started(MIDNIGHT - 4.0 * DAY), now) <= now);
        assert_eq!(timetable.due_at(&started(now), now), now + 18.0 * HOUR);
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_no_daily_run_and_stops_no_job() {
        let three = MIDNIGHT + 3.0 * HOUR;
        // By an hour, after the run of today: 03:00 comes again.
        assert_eq!(
            daily("03:00").due_at(&started(three), three - HOUR),
            three + DAY
        );
        // By a period: it may be late by another one.
        assert_eq!(
            Timetable::Every(HOUR).due_at(&started(three), three - HOUR),
            three + HOUR
        );
        // By a year: the last start says nothing.
        for timetable in [daily("03:00"), Timetable::Every(HOUR)] {
            let now = three - 365.0 * DAY;
            assert_eq!(timetable.due_at(&started(three), now), now, "{timetable:?}");
        }
        // By less than a period.
        let now = three - 0.5 * HOUR;
        assert_eq!(
            Timetable::Every(HOUR).due_at(&started(three), now),
            three + HOUR
        );
    }

    #[test]
    fn a_job_is_overdue_two_periods_after_its_last_success_or_its_declaration() {
        let hourly = Timetable::Every(HOUR);
        assert_eq!(
            hourly.overdue_at(&declared(MIDNIGHT)),
            MIDNIGHT + 2.0 * HOUR
        );
        let succeeded = LastRun {
            succeeded_at: Some(MIDNIGHT + HOUR),
            ..declared(MIDNIGHT)
        };
        assert_eq!(hourly.overdue_at(&succeeded), MIDNIGHT + 3.0 * HOUR);
        assert_eq!(
            daily("03:00").overdue_at(&succeeded),
            MIDNIGHT + HOUR + 2.0 * DAY
        );
    }

    #[test]
    fn a_mistake_in_a_schedule_says_what_would_be_right() {
        for time in [
            "3:00",
            "24:00",
            "03:60",
            "03:00:00",
            "0300",
            "",
            "+3:00",
            "٠٣:٠٠",
        ] {
            let error = Schedule::daily(time).check().expect_err(time);
            assert!(
                error.contains(&format!("{time:?}")) && error.contains("\"23:59\""),
                "{error}"
            );
        }
        for period in [Duration::ZERO, Duration::from_millis(999), Duration::MAX] {
            let error = Schedule::every(period).check().expect_err("a wrong period");
            assert!(error.contains("1 second to 365 days"), "{error}");
        }
        assert_eq!(daily("23:59"), Timetable::Daily(DAY - 60.0));
        assert_eq!(daily("00:00"), Timetable::Daily(0.0));
    }
}
