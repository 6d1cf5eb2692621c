//! `daybook init`.

use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::output::report;
use super::{load, runtime};
use crate::app::{App, routes};
use crate::config::Config;
use crate::context::Context;
use crate::metrics::Metrics;
use crate::serve::ServeError;
use crate::shutdown::Shutdown;
use crate::{jobs, store, telemetry};

pub(super) fn run(
    file: Option<&Path>,
    app: App,
    allow_downtime: bool,
) -> Result<ExitCode, Failure> {
    let config = load(file, &app)?;
    let schema = app.schema().map_err(|error| Failure::new(error, false))?;
    telemetry::init(&config.log, &config.replica);
    check(app, &config)?;
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

/// A program that cannot serve must not migrate the database.
fn check(app: App, config: &Config) -> Result<(), Failure> {
    let mistake = |error: ServeError| Failure::new(error, false);
    jobs::check(&app.jobs).map_err(|error| mistake(error.into()))?;
    let metrics = Metrics::new(&config.replica).map_err(|error| mistake(error.into()))?;
    let shutdown = Shutdown::new();
    let context = Context::new(config.app.clone(), metrics.app().clone(), shutdown.watch());
    // The application may spawn tasks there.
    let runtime = runtime()?;
    let built = {
        let _entered = runtime.enter();
        routes::build(app.routes, &context, config.health_path.as_deref())
    };
    runtime.shutdown_background();
    built.map(drop).map_err(|error| mistake(error.into()))
}
