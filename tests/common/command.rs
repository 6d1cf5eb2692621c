//! One run of `daybook` that ends by itself.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{TIMEOUT, eventually};

/// How it ended.
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

/// Runs it in `dir`, with no more of our environment than `environment` names, and waits for its end.
pub fn daybook(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DAYBOOK_") {
            command.env_remove(&name);
        }
    }
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(dir);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Running(Some(command.spawn().expect("starting daybook")));
    eventually(&format!("daybook {arguments:?} has ended"), TIMEOUT, || {
        child.has_ended()
    });
    let output = child.0.take().map(Child::wait_with_output);
    let output = output.expect("the child").expect("its output");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("output of UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("output of UTF-8"),
    }
}

/// Killed where it does not end by itself.
struct Running(Option<Child>);

impl Running {
    fn has_ended(&mut self) -> bool {
        let child = self.0.as_mut().expect("the child");
        child
            .try_wait()
            .expect("send_get for the exit status")
            .is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended meanwhile; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
