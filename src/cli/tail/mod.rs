//! `daybook tail`: shows requests while they are recorded.

mod line;
mod server_sent;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anstream::AutoStream;
use clap::Args;
use http_body_util::BodyExt;

use super::failure::Failure;
use super::output::{Written, written};
use super::records::{AdminClient, AdminError, Flags, Records, SourceArgs};
use crate::admin::stream::{Event, Feed, RECORDS_MAX};
use crate::app::App;
use crate::query::Filter;
use crate::store::{Look, OpenError, ReadOnlyDatabase};
use crate::telemetry::print_error;
use server_sent::Parser;

/// Between two looks at the database.
const INTERVAL: Duration = Duration::from_millis(100);
/// Between two attempts to reach a replica that was there.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

pub(super) const HELP: &str = "\
It shows the requests of all replicas, from now on, at most 200 a second, and says how many it leaves
out. Without --admin it reads the database that the configuration names.

Examples:
  {name} tail --status 5xx --status 4xx
  {name} tail --path-prefix /api/ --method POST
  {name} tail --json | jq -r 'select(.event == \"request\") | .path'
  {name} tail --admin http://127.0.0.1:9100

With --json each line is an object with the key `event`: `request` has a record, `outcome` the status
and duration of one that was shown without, `gap` the ids from_id to to_id of at most `count` records
that were left out.

Exit status:
  0    standard output was closed
  1    failure that may pass: no connection to the replica
  2    wrong usage, such as a wrong filter
  78   wrong configuration, or a database that is missing, damaged, too new or not {name}'s";

#[derive(Args)]
pub(super) struct TailArgs {
    /// Print each event as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    filters: Flags<Filter>,
}

pub(super) fn run(file: Option<&Path>, app: &App, args: TailArgs) -> Result<ExitCode, Failure> {
    let filter = args.filters.filter()?;
    let mut printer = Printer {
        out: anstream::stdout(),
        is_json: args.json,
    };
    match args.source.open(file, app)? {
        Records::File(database) => follow_file(&database, filter, &mut printer)?,
        Records::Admin(runtime, client) => {
            runtime.block_on(follow_admin(client, &args.filters.query(), &mut printer))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns when the reader of the output has gone.
fn follow_file(
    database: &ReadOnlyDatabase,
    filter: Filter,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let newest = || Ok::<_, OpenError>(database.ends()?.map_or(0, |(_, newest)| newest));
    let mut after = newest()?;
    let mut feed = Feed::new(filter, Instant::now());
    loop {
        let look = Look {
            after,
            newest: newest()?,
            records_max: RECORDS_MAX,
            unfinished: feed.unfinished().collect(),
        };
        let found = look.read(database.connection());
        let found = found.map_err(|error| database.error(error))?;
        if look.newest > after || !found.finished.is_empty() {
            database.sync()?;
        }
        after = after.max(look.newest);
        for event in feed.events(&found, Instant::now()) {
            if let Written::ReaderGone = printer.print(&event)? {
                return Ok(());
            }
        }
        sleep(INTERVAL);
    }
}

/// Connects again after the end of a stream, which a restart brings, and goes on after the newest record that it has shown.
async fn follow_admin(
    mut client: AdminClient,
    query: &str,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let failed = |error: AdminError| Failure::new(&error, error.is_retryable());
    let mut last_id = None;
    let mut is_connected = false;
    loop {
        match stream(&mut client, query, &mut last_id, printer, &mut is_connected).await {
            Ok(Written::ReaderGone) => return Ok(()),
            Ok(Written::All) => print_error("the stream has ended: connecting again"),
            Err(StreamError::Output(failure)) => return Err(failure),
            // It has worked: a replica may be restarting.
            Err(StreamError::Admin(error)) if is_connected && error.is_retryable() => {
                print_error(&format!("{error}: connecting again"));
            }
            Err(StreamError::Admin(error)) => return Err(failed(error)),
        }
        tokio::time::sleep(RECONNECT_INTERVAL).await;
    }
}

enum StreamError {
    Admin(AdminError),
    Output(Failure),
}

/// Prints one stream to its end.
async fn stream(
    client: &mut AdminClient,
    query: &str,
    last_id: &mut Option<i64>,
    printer: &mut Printer,
    is_connected: &mut bool,
) -> Result<Written, StreamError> {
    let path = format!("/api/stream?{query}");
    let response = client.get(&path, *last_id).await;
    let mut body = response.map_err(StreamError::Admin)?.into_body();
    *is_connected = true;
    let mut parser = Parser::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| StreamError::Admin(client.failed(error)))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        for event in parser.push(&data) {
            let event = event.map_err(|error| StreamError::Admin(client.failed(error)))?;
            *last_id = (*last_id).max(Some(event.id()));
            match printer.print(&event).map_err(StreamError::Output)? {
                Written::All => {}
                Written::ReaderGone => return Ok(Written::ReaderGone),
            }
        }
    }
    Ok(Written::All)
}

struct Printer {
    /// Takes the colours out if the output is no terminal.
    out: AutoStream<std::io::Stdout>,
    is_json: bool,
}

impl Printer {
    fn print(&mut self, event: &Event) -> Result<Written, Failure> {
        let line = match self.is_json {
            true => serde_json::to_string(event).expect("an event has a JSON form"),
            false => line::text(event),
        };
        let result = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
        written(result, "standard output")
    }
}
