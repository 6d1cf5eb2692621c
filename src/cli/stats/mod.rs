//! `daybook stats`: figures of the recorded requests.

mod table;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::failure::Failure;
use super::output::written;
use super::records::{AdminError, Flags, Records, SourceArgs};
use crate::app::App;
use crate::query::{self, Filter, StatsQuery, Time};
use crate::store::ReadOnlyDatabase;

/// For the transaction that reads the file: a long one keeps the WAL from its reset.
const TIME_MAX: Duration = Duration::from_secs(5);

pub(super) const HELP: &str = "\
It adds up the requests of the last hour, or of --since to --until. Without --admin it reads the
database that the configuration names. Times are in UTC.

Examples:
  {name} stats
  {name} stats --bucket 1h --since 24h
  {name} stats --path-prefix /api/ --status 5xx --since 2h
  {name} stats --json | jq .total

Exit status:
  0    printed
  1    failure that may pass: no connection to the replica
  2    wrong usage, such as a wrong filter
  78   wrong configuration, or a database that is missing, damaged, too new or not {name}'s";

#[derive(Args)]
pub(super) struct StatsArgs {
    /// Print what /api/stats of the admin listener has, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parameters: Flags<StatsQuery>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    filters: Flags<Filter>,
}

pub(super) fn run(file: Option<&Path>, app: &App, args: StatsArgs) -> Result<ExitCode, Failure> {
    let pairs = args.parameters.pairs().chain(args.filters.pairs());
    let query = StatsQuery::parse(pairs, Time::now()).map_err(Failure::usage)?;
    let stats = match args.source.open(file, app)? {
        Records::File(database) => from_file(&database, &query)?,
        Records::Admin(runtime, mut client) => {
            let parameters = [args.parameters.query(), args.filters.query()].join("&");
            let path = format!("/api/stats?{parameters}");
            let failed = |error: AdminError| Failure::new(&error, error.is_retryable());
            runtime.block_on(client.json(&path)).map_err(failed)?
        }
    };
    let text = match args.json {
        true => format!("{stats:#}\n"),
        false => table::text(&stats),
    };
    let result = anstream::stdout().write_all(text.as_bytes());
    written(result, "standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn from_file(database: &ReadOnlyDatabase, query: &StatsQuery) -> Result<Value, Failure> {
    let deadline = Instant::now() + TIME_MAX;
    // One snapshot: the job that keeps the minutes may run meanwhile.
    let stats = database
        .connection()
        .unchecked_transaction()
        .and_then(|snapshot| query::stats(&snapshot, query, deadline))
        .map_err(|error| database.error(error))?;
    Ok(serde_json::to_value(stats).expect("figures have a JSON form"))
}
