//! The command line: parse, dispatch, exit code.

// They panic where the descriptor fails.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use daybook::Inherited;
use daybook::config::{self, Config, Listen};
use daybook::healthcheck::Probe;
use daybook::serve::{ServeError, StopOutcome};
use daybook::{handler, healthcheck, replica_number, serve, shutdown, store, telemetry};

/// musl's own allocator is slow under this load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a restart with the same configuration cannot cure (EX_CONFIG of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// An HTTP service that writes every request to SQLite, durably, before it answers.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    source: Source,
}

const EXIT_STATUS: &str = "Exit status:
  0         done
  1         failed, and may go better another time (a port that is taken, say)
  2         wrong usage
  78        wrong configuration, or a database that is missing, foreign, damaged or too new
  128 + N   stopped at once by a second signal, whose number is N (SIGTERM: 143)

Every key of the configuration can be set in the environment: commit.deadline is
DAYBOOK_COMMIT__DEADLINE. `daybook config --default` prints all of them, explained.";

#[derive(Args)]
struct Source {
    /// The configuration file [default: $DAYBOOK_CONFIG, else ./daybook.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests until SIGTERM, SIGINT, SIGQUIT or SIGHUP
    Serve,
    /// Create the database, or bring it to this version's schema, and exit
    Init,
    /// Ask a running replica whether it is ready: GET /readyz on its admin listener; exit 0 or 1
    Healthcheck {
        /// Ask only whether it answers at all: GET /livez. For who ends a replica that does not
        #[arg(long)]
        live: bool,
        /// Whom to ask: ADDR:PORT or unix:PATH [default: the first such in admin.listen]
        #[arg(long, value_name = "ADDRESS")]
        address: Option<Listen>,
    },
    /// Print the configuration in force, as TOML
    Config {
        /// Print the default configuration instead, with an explanation of each key
        #[arg(long)]
        default: bool,
    },
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let file = cli.source.config.as_deref();
    let result = match cli.command {
        Command::Serve => serve(file),
        Command::Init => init(file),
        Command::Healthcheck { live, address } => {
            let probe = if live { Probe::Live } else { Probe::Ready };
            healthcheck(file, address, probe)
        }
        Command::Config { default: true } => print(config::DEFAULT_TOML.as_bytes()),
        Command::Config { default: false } => {
            load(file).and_then(|config| print(config.to_toml().as_bytes()))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "daybook", &mut script);
            print(&script)
        }
    };
    let code = result.unwrap_or_else(|failure| {
        telemetry::print_error(&format!("daybook: {}", failure.message));
        ExitCode::from(failure.code)
    });
    telemetry::flush();
    code
}

/// What went wrong, for a person, and the exit code, for a supervisor.
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

fn load(file: Option<&Path>) -> Result<Config, Failure> {
    match config::load(file) {
        Ok(loaded) => Ok(loaded.config),
        Err(error) => Err(Failure::new(error, false)),
    }
}

fn serve(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut config = load(file)?;
    // Before anything else opens a descriptor.
    let inherited = Inherited::take().map_err(|error| Failure::new(error, false))?;
    // Ours until the process ends.
    let _number = replica_number::take(&mut config).map_err(|error| Failure::new(error, true))?;
    telemetry::init(&config.log, &config.replica);
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let signals = shutdown::signals().map_err(|error| Failure::new(error, true))?;
        serve::serve(config, handler::routes(), inherited, signals, |_| ())
            .await
            .map_err(|error: ServeError| {
                let is_retryable = error.is_retryable();
                Failure::new(error, is_retryable)
            })
    });
    // Not by dropping it: that waits for blocking threads, and one may be in the middle of a read, or still waiting to
    // open the database.
    runtime.shutdown_background();
    let ended = ended?;
    tracing::info!(%ended, "stopped");
    Ok(match ended {
        StopOutcome::Drained | StopOutcome::NotStarted => ExitCode::SUCCESS,
        StopOutcome::GraceExpired => ExitCode::FAILURE,
        StopOutcome::Forced(stop) => ExitCode::from(stop.exit_code()),
    })
}

fn init(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = load(file)?;
    telemetry::init(&config.log, &config.replica);
    let done = store::init(&config.database).map_err(|error| {
        let is_retryable = error.is_retryable();
        Failure::new(error, is_retryable)
    })?;
    report(&format!("{}: {done}", config.database.path.display()));
    Ok(ExitCode::SUCCESS)
}

fn healthcheck(
    file: Option<&Path>,
    address: Option<Listen>,
    probe: Probe,
) -> Result<ExitCode, Failure> {
    let address = match address {
        Some(address) => address,
        None => {
            // Whatever keeps it from asking: 0 is healthy and 1 is not, and supervisors know no third answer.
            let config = config::load(file)
                .map_err(|error| Failure::new(error, true))?
                .config;
            healthcheck::default_address(&config.admin_listen)
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

/// One thread for all connections: replicas are how daybook uses more cores, and a turn of one event loop is what
/// makes one batch.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the runtime cannot start: {error}"), true))
}

/// Says on standard output what was done. The exit status says it, too, so a reader that has gone changes nothing.
fn report(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes what was asked for: without it the command has failed.
fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    std::io::stdout()
        .write_all(text)
        .map_err(|error| Failure::new(format!("standard output: {error}"), true))?;
    Ok(ExitCode::SUCCESS)
}
