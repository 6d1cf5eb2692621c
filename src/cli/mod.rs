//! The command line of every application: parse, dispatch, exit code.

mod export;
mod failure;
mod healthcheck;
mod init;
mod output;
mod records;
mod serve;
mod stats;
mod tail;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command as ClapCommand, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::app::App;
use crate::config::{self, Config, Listen};
use crate::healthcheck::Probe;
use crate::telemetry;
use export::ExportArgs;
use failure::Failure;
use output::print;
use stats::StatsArgs;
use tail::TailArgs;

/// HTTP service that writes each request to SQLite, durably, before it responds
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    source: Source,
}

const HELP: &str = "\
Exit status:
  0         success
  1         failure that may pass, such as a port in use
  2         wrong usage
  78        failure that a restart does not cure: a wrong configuration, or a database that is
            missing, damaged, too new or not daybook's
  128 + N   stopped at once by a second signal N (143: SIGTERM)

Configuration:
  A TOML file, then the environment: DAYBOOK_COMMIT__DEADLINE=2s sets the key commit.deadline.
  `{name} config --default` prints each key with its default and description.

`{name} COMMAND --help` shows examples.";

#[derive(Args)]
struct Source {
    /// Configuration file [default: $DAYBOOK_CONFIG, else ./daybook.toml if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a replica until SIGTERM, SIGINT, SIGQUIT or SIGHUP
    ///
    /// Opens the database (and creates it, unless database.create is false), then listens. After a signal it completes
    /// the open requests within shutdown.grace, then exits. A second signal stops it at once.
    #[command(after_help = "\
Example: a second replica of the same database, on the same public port
  DAYBOOK_REPLICA=2 DAYBOOK_ADMIN__LISTEN=127.0.0.1:9102 {name} serve

Exit status:
  0         stopped; each request has its response
  1         failure that may pass: a port in use, a database that another program locks, or
            requests still open after shutdown.grace
  78        wrong configuration, or a database that is missing, damaged, too new or not daybook's
  128 + N   stopped at once by a second signal N")]
    Serve,
    /// Create the database, or update its schema to this version, then exit
    ///
    /// `serve` does the same at its start. Run `init` to migrate before the replicas start: it prints each migration and
    /// its time.
    #[command(after_help = "\
Examples:
  {name} init --config /etc/{name}.toml
  {name} init --allow-downtime

Exit status:
  0    the database has this version's schema
  1    failure that may pass: a full disk, or another program locks the database
  78   wrong configuration, or a database that is missing, damaged, too new or not daybook's")]
    Init {
        /// Let the migrations take longer than commit.deadline; requests get 503 meanwhile
        #[arg(long)]
        allow_downtime: bool,
    },
    /// Ask a running replica whether it is ready
    ///
    /// Sends GET /readyz to its admin listener. With --live it sends GET /livez.
    #[command(after_help = "\
Examples:
  {name} healthcheck --address unix:/run/{name}/1.admin.sock
  {name} healthcheck --live

Exit status:
  0    ready; with --live: alive
  1    not ready, no response, no address to ask, or a wrong configuration")]
    Healthcheck {
        /// Ask only whether it is alive, for a supervisor that restarts a replica that hangs
        #[arg(long)]
        live: bool,
        /// ADDR:PORT or unix:PATH [default: the first TCP or unix listener in admin.listen]
        #[arg(long, value_name = "ADDRESS")]
        address: Option<Listen>,
    },
    /// Show requests while they are recorded
    #[command(after_help = tail::HELP)]
    Tail(TailArgs),
    /// Print figures of the recorded requests
    #[command(after_help = stats::HELP)]
    Stats(StatsArgs),
    /// Write recorded requests to a file, as NDJSON or CSV
    #[command(after_help = export::HELP)]
    Export(ExportArgs),
    /// Print the effective configuration as TOML
    ///
    /// The output is itself a configuration file, except that secrets are hidden. Use it to check a file or an environment
    /// before a start.
    #[command(after_help = "\
Examples:
  DAYBOOK_COMMIT__DEADLINE=2s {name} config
  {name} config --default > daybook.toml

Exit status:
  0    valid
  1    standard output cannot be written
  78   not valid; the message names the file's line or the variable")]
    Config {
        /// Print the default configuration, which describes each key
        #[arg(long)]
        default: bool,
    },
    /// Print a shell completion script
    #[command(after_help = "\
Example:
  {name} completions bash > /etc/bash_completion.d/{name}

Exit status:
  0    printed
  1    standard output cannot be written")]
    Completions {
        /// Shell
        shell: Shell,
    },
}

/// Runs the program of an application: its command line, with `serve`, `init`, `healthcheck`, `tail`, `stats`, `export`,
/// `config` and `completions`. `main` returns the exit code.
pub fn run(app: App) -> ExitCode {
    let name = app.name;
    let matches = named(Cli::command(), name).name(name).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let code = dispatch(cli, app).unwrap_or_else(|failure| {
        telemetry::print_error(&format!("{name}: {}", failure.message));
        ExitCode::from(failure.code)
    });
    telemetry::flush();
    code
}

fn dispatch(cli: Cli, app: App) -> Result<ExitCode, Failure> {
    let file = cli.source.config.as_deref();
    match cli.command {
        Command::Serve => serve::run(file, app),
        Command::Init { allow_downtime } => init::run(file, app, allow_downtime),
        Command::Healthcheck { live, address } => {
            let probe = if live { Probe::Live } else { Probe::Ready };
            healthcheck::run(file, &app, address, probe)
        }
        Command::Tail(args) => tail::run(file, &app, args),
        Command::Stats(args) => stats::run(file, &app, args),
        Command::Export(args) => export::run(file, &app, args),
        Command::Config { default: true } => {
            let toml =
                config::default_toml(app.config).map_err(|error| Failure::new(error, false))?;
            print(toml.as_bytes())
        }
        Command::Config { default: false } => {
            load(file, &app).and_then(|config| print(config.to_toml().as_bytes()))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), app.name, &mut script);
            print(&script)
        }
    }
}

/// Puts the program's name in the examples.
fn named(mut command: ClapCommand, name: &str) -> ClapCommand {
    if let Some(help) = command.get_after_help() {
        let help = help.to_string().replace("{name}", name);
        command = command.after_help(help);
    }
    let subcommands: Vec<_> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for subcommand in subcommands {
        command = command.mut_subcommand(subcommand, |sub| named(sub, name));
    }
    command
}

fn load(file: Option<&Path>, app: &App) -> Result<Config, Failure> {
    config::load(app.name, app.config, file).map_err(|error| Failure::new(error, false))
}

/// One thread for all connections: replicas use further cores, and the requests of one event-loop turn share a batch.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the async runtime: {error}"), true))
}
