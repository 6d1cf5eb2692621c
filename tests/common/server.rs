//! Runs the real program in a temporary directory, on ports that the kernel chooses.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::client::{self, Response};
use super::config::{Config, Log};
use super::db::{self, Row};
use super::process::Process;
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

    /// Changes the configuration, starts the server and waits until its log says `ready`.
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
            let failed = self.process.exit_status().is_some() || Instant::now() > deadline;
            if line.is_some() || failed {
                Some(line)
            } else {
                None
            }
        });
        found.unwrap_or_else(|| panic!("daybook is not ready. Its log:\n{}", self.log()))
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

    /// Sends a signal, such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits until the process exits.
    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        let status = self.process.wait_exit(timeout);
        eventually("its log is complete", TIMEOUT, || self.log.is_complete());
        status
    }

    /// Standard error and standard output so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    pub fn db(&self) -> Connection {
        db::open(&self.database)
    }

    /// The number of rows in the database.
    pub fn rows(&self) -> i64 {
        db::count(&self.db())
    }

    /// The row with that id. Panics if there is none.
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

    /// See [`metric`].
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        metric(self.admin(), name, labels)
    }

    /// Waits until exactly `n` responses with that status are counted.
    pub fn wait_for_responses(&self, code: u16, n: u32) {
        let code = code.to_string();
        eventually(
            &format!("{n} responses with {code} are counted"),
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

/// Scrapes the admin listener and sums all samples of `name` with all of `labels`. Panics if there is no such metric.
pub fn metric(admin: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let response = client::get(admin, "/metrics");
    let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
    let mut is_there = false;
    let mut sum = 0.0;
    for line in response
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let (found, found_labels) = series.split_once('{').unwrap_or((series, ""));
        is_there |= found == name;
        if found == name && labels.iter().all(|label| found_labels.contains(label)) {
            sum += value.parse::<f64>().expect("a number");
        }
    }
    assert!(is_there, "there is no metric {name}");
    sum
}

/// A failed start.
pub struct Failure {
    pub code: Option<i32>,
    pub stderr: String,
}

/// Starts a server that must fail, and waits for its exit.
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
        process.exit_status()
    });
    eventually("its log is complete", TIMEOUT, || log.is_complete());
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
