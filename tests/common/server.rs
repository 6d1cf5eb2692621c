//! The real program, in a temporary directory, on ports that the kernel chose.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::client::{self, Response};
use super::config::{Config, Log, Process};
use super::db::{self, Row};
use super::{TIMEOUT, eventually};

/// A running daybook. Dropping it kills it.
pub struct Server {
    process: Process,
    log: Log,
    dir: TempDir,
    database: PathBuf,
    listen: Vec<String>,
    admin: Vec<String>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(|_| ())
    }

    /// Starts with a configuration of the test's own and waits until the log says `ready`.
    pub fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new();
        configure(&mut config);
        let database = config.database();
        let (process, log, dir) = config.spawn();
        let mut server = Self {
            process,
            log,
            dir,
            database,
            listen: Vec::new(),
            admin: Vec::new(),
        };
        let ready = server.wait_until_ready();
        server.listen = texts(&ready["listen"]);
        server.admin = texts(&ready["admin_listen"]);
        server
    }

    fn wait_until_ready(&mut self) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        let found = eventually("daybook has started, or failed to", TIMEOUT * 2, || {
            let is_ready = |line: &Value| line["message"] == "ready";
            let line = self
                .log()
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(is_ready);
            let over = self.process.ended().is_some() || Instant::now() > deadline;
            if line.is_some() || over {
                Some(line)
            } else {
                None
            }
        });
        found.unwrap_or_else(|| {
            panic!(
                "daybook never said that it is ready. Its log:\n{}",
                self.log()
            )
        })
    }

    /// The first public listener: `ADDR:PORT` or `unix:PATH`.
    pub fn addr(&self) -> &str {
        &self.listen[0]
    }

    /// All public listeners, as the log names them.
    pub fn listen(&self) -> &[String] {
        &self.listen
    }

    /// The first admin listener.
    pub fn admin(&self) -> &str {
        &self.admin[0]
    }

    /// All admin listeners.
    pub fn admin_listen(&self) -> &[String] {
        &self.admin
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn database_path(&self) -> &Path {
        &self.database
    }

    /// Sends a signal by its name: `TERM`, `STOP`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.pid());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("starting a shell");
        assert!(status.success(), "{kill}");
    }

    /// Waits until the process has ended by itself.
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let status = eventually("daybook has ended", within, || self.process.ended());
        eventually("its last words are read", TIMEOUT, || {
            self.log.is_complete()
        });
        status
    }

    /// All that it has written to standard error and standard output.
    pub fn log(&self) -> String {
        self.log.text()
    }

    pub fn db(&self) -> Connection {
        db::open(&self.database)
    }

    /// How many rows the file has.
    pub fn rows(&self) -> i64 {
        db::count(&self.db())
    }

    /// The row of that id. Panics when there is none.
    pub fn row(&self, id: i64) -> Row {
        db::row(&self.db(), id).unwrap_or_else(|| panic!("there is no row {id}"))
    }

    /// GET on the public listener.
    pub fn get(&self, path: &str) -> Response {
        client::get(self.addr(), path)
    }

    /// GET on the admin listener.
    pub fn get_admin(&self, path: &str) -> Response {
        client::get(self.admin(), path)
    }

    /// The sum of all samples of `name` that have all of `labels`. Panics when nothing has that name, but for the responses
    /// that are counted by their status: before the first there is none.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.get_admin("/metrics");
        let is_of_that_name = |line: &str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        assert!(
            name == "daybook_requests_total" || text.text().lines().any(is_of_that_name),
            "there is no metric {name}"
        );
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (of, with) = series.split_once('{').unwrap_or((series, ""));
            let fits = of == name
                && labels
                    .iter()
                    .all(|(k, v)| with.contains(&format!("{k}=\"{v}\"")));
            fits.then(|| value.parse::<f64>().expect("a number"))
        };
        text.text()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(sample)
            .sum()
    }

    /// Waits until `n` responses with that status have been counted.
    pub fn wait_for_responses(&self, code: u16, n: u32) {
        let code = code.to_string();
        eventually(
            &format!("{n} responses {code} are counted"),
            TIMEOUT,
            || {
                self.metric(
                    "daybook_requests_total",
                    &[("code", &code), ("replica", "test")],
                ) == f64::from(n)
            },
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("daybook's log:\n{}", self.log());
        }
    }
}

/// How a start failed.
pub struct Failure {
    pub code: Option<i32>,
    pub stderr: String,
}

/// Starts a server that must not come up, and waits for its end.
pub fn fails_to_start(configure: impl FnOnce(&mut Config)) -> Failure {
    let mut config = Config::new();
    configure(&mut config);
    let (mut process, log, _dir) = config.spawn();
    let status = eventually("daybook has failed", TIMEOUT, || {
        let log = log.text();
        assert!(
            !log.contains(r#""message":"ready""#),
            "it started, but should have failed:\n{log}"
        );
        process.ended()
    });
    eventually("the log is read to its end", TIMEOUT, || log.is_complete());
    Failure {
        code: status.code(),
        stderr: log.text(),
    }
}

fn texts(list: &Value) -> Vec<String> {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("not a list of listeners: {list}"));
    list.iter()
        .map(|text| text.as_str().expect("a listener's text").to_owned())
        .collect()
}
