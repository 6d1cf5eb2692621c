//! `daybook serve`.

use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::{load, runtime};
use crate::app::App;
use crate::http::listen::Inherited;
use crate::process::replica_number;
use crate::serve::{self, ServeError, StopOutcome};
use crate::{shutdown, telemetry};

pub(super) fn run(file: Option<&Path>, app: App) -> Result<ExitCode, Failure> {
    let mut config = load(file, &app)?;
    // Before anything else opens a file descriptor.
    let inherited = Inherited::take().map_err(|error| Failure::new(error, false))?;
    // Held until the process exits.
    let _number = replica_number::take(&mut config).map_err(|error| Failure::new(error, true))?;
    telemetry::init(&config.log, &config.replica);
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let signals = shutdown::signals().map_err(|error| Failure::new(error, true))?;
        serve::serve(config, app, inherited, signals, |_| ())
            .await
            .map_err(|error: ServeError| {
                let is_retryable = error.is_retryable();
                Failure::new(error, is_retryable)
            })
    });
    // A drop would wait for blocking threads, of which one may be reading or waiting to open the database.
    runtime.shutdown_background();
    let outcome = outcome?;
    tracing::info!(%outcome, "stopped");
    Ok(match outcome {
        StopOutcome::Drained | StopOutcome::NotStarted => ExitCode::SUCCESS,
        StopOutcome::GraceExpired => ExitCode::FAILURE,
        StopOutcome::Forced(stop) => ExitCode::from(stop.exit_code()),
    })
}
