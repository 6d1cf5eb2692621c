//! Where `tail`, `export` and `stats` find the records: in the database's file, or at a replica's admin listener.

mod admin;
mod flags;

use std::path::Path;

use clap::Args;

use super::failure::Failure;
use super::{load, runtime};
use crate::admin_client::Target;
use crate::app::App;
use crate::store::ReadOnlyDatabase;
pub(super) use admin::{AdminClient, AdminError};
pub(super) use flags::Flags;

#[derive(Args)]
pub(super) struct SourceArgs {
    /// Ask the replica with this admin listener, http://HOST:PORT or unix:PATH, instead of reading the database
    #[arg(long, value_name = "URL", value_parser = admin::parse_target)]
    admin: Option<Target>,
}

/// An open source.
pub(super) enum Records {
    File(ReadOnlyDatabase),
    Admin(tokio::runtime::Runtime, AdminClient),
}

impl SourceArgs {
    /// Opens the file that the configuration names, unless there is `--admin`.
    pub fn open(self, file: Option<&Path>, app: &App) -> Result<Records, Failure> {
        if let Some(target) = self.admin {
            return Ok(Records::Admin(runtime()?, AdminClient::new(target)));
        }
        let config = load(file, app)?;
        let schema = app.schema().map_err(|error| Failure::new(error, false))?;
        Ok(Records::File(ReadOnlyDatabase::open(
            &config.database,
            &schema,
        )?))
    }
}
