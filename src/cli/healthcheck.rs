//! `daybook healthcheck`.

use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::output::report;
use super::runtime;
use crate::app::App;
use crate::config::{self, Listen};
use crate::healthcheck::{self, Probe};

pub(super) fn run(
    file: Option<&Path>,
    app: &App,
    address: Option<Listen>,
    probe: Probe,
) -> Result<ExitCode, Failure> {
    let address = match address {
        Some(address) => address,
        None => {
            // Not 78 for a wrong configuration: supervisors expect 0 for healthy and 1 for unhealthy.
            let config = config::load(app.name, app.config, file)
                .map_err(|error| Failure::new(error, true))?;
            healthcheck::default_address(&config.admin.listen)
                .map_err(|error| Failure::new(error, true))?
        }
    };
    runtime()?
        .block_on(healthcheck::check(&address, probe))
        .map_err(|error| Failure::new(error, true))?;
    report(match probe {
        Probe::Ready => "ready",
        Probe::Live => "alive",
    });
    Ok(ExitCode::SUCCESS)
}
