//! Runs `daybook` subcommands that exit by themselves.

use std::fs::{self, Permissions};
use std::io::{Read, read_to_string};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use super::TIMEOUT;
use super::process::{DAYBOOK, Process, remove_variables};

/// The result of a run.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The first line of standard error.
    pub fn error_line(&self) -> &str {
        self.stderr.lines().next().unwrap_or_default()
    }
}

/// Runs daybook in `dir` and waits for its exit. Of the `DAYBOOK_` variables it gets only those in `environment`.
pub fn daybook(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    run(DAYBOOK.as_ref(), dir, arguments, environment)
}

/// [`daybook`] with another program.
pub fn run(program: &Path, dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(program);
    remove_variables(&mut command);
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command);
    let stdout = text(process.child().stdout.take());
    let stderr = text(process.child().stderr.take());
    let status = process.wait_exit(TIMEOUT);
    Run {
        code: status.code(),
        stdout: stdout.join().expect("output of UTF-8"),
        stderr: stderr.join().expect("output of UTF-8"),
    }
}

/// A copy of the program that other users can start: they cannot read the build directory. `dir` is theirs to read, too.
///
/// Copied with `cp`: if this process had the file open to write, a child of another test could inherit it, and the file could
/// not be executed.
pub fn copy_program(dir: &Path) -> PathBuf {
    let program = dir.join("daybook");
    let mut copy = Command::new("cp");
    copy.args([DAYBOOK.as_ref(), program.as_path()]);
    assert!(copy.status().expect("starting cp").success());
    fs::set_permissions(dir, Permissions::from_mode(0o755)).expect("setting permissions");
    program
}

/// Reads while the process runs: it may write more than a pipe holds.
fn text(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    let stream = stream.expect("a pipe");
    thread::spawn(move || read_to_string(stream).expect("output of UTF-8"))
}
