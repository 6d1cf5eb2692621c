//! The command line of every application: parse, dispatch, exit code.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command as ClapCommand, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::app::App;
use crate::config::{self, Config, Listen};
use crate::healthcheck::{self, Probe};
use crate::http::listen::Inherited;
use crate::process::replica_number;
use crate::serve::{self, ServeError, StopOutcome};
use crate::{jobs, shutdown, store, telemetry};

/// For what a restart cannot cure (EX_CONFIG of sysexits.h).
const EXIT_CONFIG: u8 = 78;

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

/// Runs the program of an application: its command line, with `serve`, `init`, `healthcheck`, `config` and `completions`.
/// `main` returns the exit code.
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
        Command::Serve => serve(file, app),
        Command::Init { allow_downtime } => init(file, &app, allow_downtime),
        Command::Healthcheck { live, address } => {
            let probe = if live { Probe::Live } else { Probe::Ready };
            healthcheck(file, &app, address, probe)
        }
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

/// A message for a person, and an exit code for a supervisor.
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn new(message: impl ToString, is_retryable: bool) -> Self {
        Self {
            message: message.to_string(),
            code: if is_retryable { 1 } else { EXIT_CONFIG },
        }
    }
}

fn load(file: Option<&Path>, app: &App) -> Result<Config, Failure> {
    config::load(app.name, app.config, file).map_err(|error| Failure::new(error, false))
}

fn serve(file: Option<&Path>, app: App) -> Result<ExitCode, Failure> {
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

fn init(file: Option<&Path>, app: &App, allow_downtime: bool) -> Result<ExitCode, Failure> {
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

fn healthcheck(
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

/// One thread for all connections: replicas use further cores, and the requests of one event-loop turn share a batch.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the async runtime: {error}"), true))
}

/// Reports success on standard output. A failed write is ignored, because the exit status reports the same.
fn report(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints the command's result. If it cannot be written, the command has failed.
fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    std::io::stdout()
        .write_all(text)
        .map_err(|error| Failure::new(format!("standard output: {error}"), true))?;
    Ok(ExitCode::SUCCESS)
}
