//! The jobs that an application declares with [`App::job`](crate::App::job), and their check at the start; and daybook's own.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::schedule::{Schedule, Timetable};
use crate::context::{BoxError, Context};

const NAME_BYTES_MAX: usize = 40;
/// For daybook's own jobs.
const RESERVED_PREFIX: &str = "daybook-";

type JobFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
/// An application's function, which begins one run.
pub(super) type JobFn = Arc<dyn Fn(Context) -> JobFuture + Send + Sync>;

/// A job as the application wrote it.
pub(crate) struct Declaration {
    name: String,
    schedule: Schedule,
    function: JobFn,
}

/// A job whose name and schedule are valid.
#[derive(Clone)]
pub(crate) struct Job {
    pub(super) name: String,
    pub(super) timetable: Timetable,
    pub(super) function: JobFn,
    /// A replica that has just started waits for so long before it looks whether the job is due.
    pub(super) first_look_after: Duration,
}

impl Job {
    /// A job of daybook's own, which runs with the application's: `daybook-NAME`, each `period` from the first start on.
    pub fn own<F, R>(name: &str, period: Duration, function: F) -> Self
    where
        F: Fn(Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self {
            name: format!("{RESERVED_PREFIX}{name}"),
            timetable: Timetable::Every(period.as_secs_f64()),
            function: Arc::new(move |context| Box::pin(function(context))),
            first_look_after: Duration::ZERO,
        }
    }

    /// For a job that can wait: a start has other work.
    pub fn first_look_after(self, delay: Duration) -> Self {
        Self {
            first_look_after: delay,
            ..self
        }
    }
}

/// A mistake in a job's declaration. A restart does not cure it.
#[derive(Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum JobError {
    #[error("job {0:?}: a name has 1 to {NAME_BYTES_MAX} lower-case letters, digits and hyphens")]
    Name(String),
    #[error(
        "job {0:?}: names that begin with {RESERVED_PREFIX:?} are daybook's own: choose another name"
    )]
    ReservedName(String),
    #[error("job {0:?}: the application declares it twice: give one of them another name")]
    Twice(String),
    #[error("job {name:?}: {mistake}")]
    Schedule { name: String, mistake: String },
}

impl Declaration {
    pub fn new<F, R>(name: &str, schedule: Schedule, function: F) -> Self
    where
        F: Fn(Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self {
            name: name.to_owned(),
            schedule,
            function: Arc::new(move |context| Box::pin(function(context))),
        }
    }

    fn check(&self) -> Result<Job, JobError> {
        let name = self.name.clone();
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(is_allowed) {
            return Err(JobError::Name(name));
        }
        if name.starts_with(RESERVED_PREFIX) {
            return Err(JobError::ReservedName(name));
        }
        match self.schedule.check() {
            Ok(timetable) => Ok(Job {
                name,
                timetable,
                function: self.function.clone(),
                first_look_after: Duration::ZERO,
            }),
            Err(mistake) => Err(JobError::Schedule { name, mistake }),
        }
    }
}

/// Checks all jobs of an application.
///
/// # Errors
/// The first mistake.
pub(crate) fn check(declarations: &[Declaration]) -> Result<Vec<Job>, JobError> {
    let mut names = HashSet::new();
    declarations
        .iter()
        .map(|declaration| {
            let job = declaration.check()?;
            match names.insert(job.name.clone()) {
                true => Ok(job),
                false => Err(JobError::Twice(job.name)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn job(name: &str) -> Declaration {
        Declaration::new(name, Schedule::every(Duration::from_secs(1)), async |_| {
            Ok(())
        })
    }

    #[test]
    fn names_are_short_and_plain() {
        let longest = "a".repeat(40);
        for name in ["purge", "send-mail-2", "2", "daybook", "-", &longest] {
            assert!(check(&[job(name)]).is_ok(), "{name}");
        }
        let too_long = "a".repeat(41);
        for name in ["", "Purge", "send_mail", "send mail", "a/b", "ä", &too_long] {
            let error = check(&[job(name)]).err().expect(name);
            assert_eq!(error, JobError::Name(name.to_owned()));
        }
        let error = check(&[job("daybook-prune")]).err();
        assert_eq!(
            error,
            Some(JobError::ReservedName("daybook-prune".to_owned()))
        );
    }

    #[test]
    fn a_name_is_declared_once() {
        assert!(check(&[job("one"), job("other")]).is_ok());
        let error = check(&[job("one"), job("other"), job("one")]).err();
        assert_eq!(error, Some(JobError::Twice("one".to_owned())));
    }

    #[test]
    fn a_mistake_in_the_schedule_names_the_job() {
        let declaration = Declaration::new("purge", Schedule::daily("3"), async |_| Ok(()));
        let error = check(&[declaration]).err().expect("a mistake").to_string();
        assert!(
            error.starts_with("job \"purge\": Schedule::daily(\"3\"): "),
            "{error}"
        );
    }
}
