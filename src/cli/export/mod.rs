//! `daybook export`: writes records to a file or to standard output, oldest first.

mod encode;
mod pages;
mod progress;
mod target;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::output::{Written, written};
use super::records::{Flags, SourceArgs};
use crate::app::App;
use crate::query::Filter;
use encode::Encoder;
use pages::Pages;
use progress::Progress;
use target::Target;

pub(super) const HELP: &str = "\
It writes the records that there are when it starts, the oldest first. It reads them page by page, so
it may run beside the replicas for hours. Without --admin it reads the database that the configuration
names.

Examples:
  {name} export --format csv --since 24h --output yesterday.csv
  {name} export --format ndjson --status 5xx | jq -r .path | sort | uniq -c
  {name} export --format ndjson --after 1000000 | zstd > rest.ndjson.zst

Continue:
  With --output, run the same command again: it removes an incomplete last line, and continues after
  the last record in the file. A run after a complete one adds the records that are new.
  To standard output, give the id of the last record that you have as --after.

CSV:
  A first line has the names of the columns. A text that begins with = + - @ or a tab gets a ' in
  front, because a spreadsheet would run it as a formula.

Exit status:
  0    complete, or the reader of standard output has closed it
  1    failure that may pass: a full disk, or no connection to the replica
  2    wrong usage, such as a wrong filter, or a file that is no export
  78   wrong configuration, or a database that is missing, damaged, too new or not {name}'s";

#[derive(Args)]
pub(super) struct ExportArgs {
    /// One JSON object a line, or comma-separated values
    #[arg(long)]
    format: Format,
    /// File to write, or to continue [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Begin after the record with this id
    #[arg(
        long,
        value_name = "ID",
        default_value_t = 0,
        hide_default_value = true
    )]
    after: i64,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    filters: Flags<Filter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Ndjson,
    Csv,
}

pub(super) fn run(file: Option<&Path>, app: &App, args: ExportArgs) -> Result<ExitCode, Failure> {
    let filter = args.filters.filter()?;
    // Before the target is touched.
    let records = args.source.open(file, app)?;
    let (mut target, last) = Target::open(args.output.as_deref(), args.format)?;
    let after = last.unwrap_or(0).max(args.after);
    let mut pages = Pages::begin(records, filter, args.filters.query(), after)?;
    let mut encoder = Encoder::new(args.format, target.is_empty());
    let mut progress = Progress::new(after, pages.ids());
    while let Some(page) = pages.next()? {
        let text = encoder.encode(&page.records);
        match written(target.write(&text), target.name())? {
            Written::All => progress.add(&page),
            Written::ReaderGone => return Ok(ExitCode::SUCCESS),
        }
    }
    let end = target.write(&encoder.encode(&[]));
    written(end.and_then(|()| target.finish()), target.name())?;
    progress.finish();
    Ok(ExitCode::SUCCESS)
}
