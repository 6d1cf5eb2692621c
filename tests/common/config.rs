//! What a test wants of its server, and the process that comes of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

/// What a test wants of its server: `daybook.toml`, and what the process inherits.
pub struct Config {
    dir: TempDir,
    /// Dotted key to TOML value.
    keys: BTreeMap<String, String>,
    environment: Vec<(String, String)>,
    inherited: Option<Inherited>,
    /// A program that becomes daybook, and its arguments.
    launcher: Vec<String>,
}

/// Sockets handed over as systemd does it: descriptors 3 and 4.
struct Inherited {
    sockets: [OwnedFd; 2],
    names: String,
    /// What `LISTEN_PID` says; the shell puts the process's own number for `$$`.
    pid: String,
}

impl Inherited {
    /// A shell moves its standard input and output to 3 and 4, and knows its number, which `exec` keeps.
    fn command(self, program: &str) -> Command {
        let Self {
            sockets: [first, second],
            names,
            pid,
        } = self;
        let script = format!(
            "exec 3<&0 4<&1 </dev/null >/dev/null; \
             export LISTEN_PID={pid} LISTEN_FDS=2 LISTEN_FDNAMES={names}; exec \"$0\" \"$@\""
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, program]);
        command
            .stdin(Stdio::from(first))
            .stdout(Stdio::from(second));
        command
    }
}

impl Config {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = dir.path().join("requests.db");
        let mut config = Self {
            dir,
            keys: BTreeMap::new(),
            environment: Vec::new(),
            inherited: None,
            launcher: Vec::new(),
        };
        config
            .text("listen", "127.0.0.1:0")
            .text("admin.listen", "127.0.0.1:0")
            .text("replica", "test");
        config
            .text("database.path", database.display())
            .text("database.synchronous", "normal");
        config
    }

    /// Sets a key to a TOML value: a number, `true`, `["a", "b"]`.
    pub fn set(&mut self, key: &str, value: impl Display) -> &mut Self {
        self.keys.insert(key.to_owned(), value.to_string());
        self
    }

    /// Sets a key to a text, a duration or one listener.
    pub fn text(&mut self, key: &str, value: impl Display) -> &mut Self {
        self.set(key, format!("{:?}", value.to_string()))
    }

    /// Sets an environment variable.
    pub fn environment(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Hands over two sockets under `names`, joined with a colon.
    pub fn inherit(&mut self, sockets: [OwnedFd; 2], names: &str) -> &mut Self {
        self.inherit_as(sockets, names, "$$")
    }

    /// Hands over two sockets that are meant for the process `pid`.
    pub fn inherit_as(&mut self, sockets: [OwnedFd; 2], names: &str, pid: &str) -> &mut Self {
        self.inherited = Some(Inherited {
            sockets,
            names: names.to_owned(),
            pid: pid.to_owned(),
        });
        self
    }

    /// Starts it through a program that becomes it: `nohup`, `prlimit`.
    pub fn through(&mut self, launcher: &[&str]) -> &mut Self {
        self.launcher = launcher.iter().map(ToString::to_string).collect();
        self
    }

    /// Where the database will be.
    pub fn database(&self) -> PathBuf {
        let path: PathBuf =
            serde_json::from_str(&self.keys["database.path"]).expect("database.path");
        self.dir.path().join(path)
    }

    /// A path within the temporary directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `daybook.toml` and starts `daybook serve` on it.
    pub fn spawn(self) -> (Process, Log, TempDir) {
        let file = self.path("daybook.toml");
        let toml: String = self
            .keys
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        std::fs::write(&file, toml).expect("writing daybook.toml");

        let program = env!("CARGO_BIN_EXE_daybook");
        let mut command = match self.inherited {
            None => {
                let launched = self.launcher.iter().map(String::as_str).chain([program]);
                let mut words = launched.collect::<Vec<_>>().into_iter();
                let mut command = Command::new(words.next().expect("the program, at least"));
                command.args(words);
                command.stdin(Stdio::null()).stdout(Stdio::piped());
                command
            }
            Some(inherited) => inherited.command(program),
        };
        for (name, _) in std::env::vars_os() {
            let of_ours = ["DAYBOOK_", "LISTEN_", "NOTIFY_", "WATCHDOG_"];
            if of_ours
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        command
            .args(["serve", "--config"])
            .arg(&file)
            .envs(self.environment);
        command.stderr(Stdio::piped()).current_dir(self.dir.path());
        let mut child = command.spawn().expect("starting daybook");
        let log = Log::default();
        if let Some(stdout) = child.stdout.take() {
            log.follow(stdout);
        }
        log.follow(child.stderr.take().expect("its standard error"));
        (Process(child), log, self.dir)
    }
}

/// A child that does not outlive its test.
pub struct Process(Child);

impl Process {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("send_get for the exit status")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All that the process has written so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    fn follow(&self, stream: impl Read + Send + 'static) {
        let text = Arc::clone(&self.0);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let mut text = text.lock().expect("the log");
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
            }
        });
    }

    /// Whether the process, now gone, has had its last line read. `spawn` holds no other clone but the readers'.
    pub fn is_complete(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub fn text(&self) -> String {
        self.0.lock().expect("the log").clone()
    }
}
