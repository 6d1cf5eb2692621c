//! `daybook init`.

use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::load;
use super::output::report;
use crate::app::App;
use crate::serve::ServeError;
use crate::{jobs, store, telemetry};

pub(super) fn run(
    file: Option<&Path>,
    app: &App,
    allow_downtime: bool,
) -> Result<ExitCode, Failure> {
    let config = load(file, app)?;
    let schema = app.schema().map_err(|error| Failure::new(error, false))?;
    // A program that cannot serve must not migrate the database.
    jobs::check(&app.jobs).map_err(|error| Failure::new(ServeError::from(error), false))?;
    telemetry::init(&config.log, &config.replica);
    let time_max = (!allow_downtime).then(|| config.commit.deadline.get());
    let done = store::init(&config.database, &schema, time_max);
    let (outcome, steps) = done.map_err(|error| {
        let is_retryable = error.is_retryable();
        Failure::new(error, is_retryable)
    })?;
    for step in steps {
        report(&step.to_string());
    }
    report(&format!("{}: {outcome}", config.database.path.display()));
    Ok(ExitCode::SUCCESS)
}
