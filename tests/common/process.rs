//! Child processes that do not outlive their test.

use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use super::eventually;

/// The program under test.
pub const DAYBOOK: &str = env!("CARGO_BIN_EXE_daybook");

/// A child that is killed when dropped.
pub struct Process(Child);

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().expect("starting a process"))
    }

    /// For its standard streams.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal, such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.id());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("starting a shell");
        assert!(status.success(), "{kill}");
    }

    /// The exit status, if it has exited.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("asking for the exit status")
    }

    /// Waits until it exits.
    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        eventually("the process has exited", timeout, || self.exit_status())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if it has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Removes what the test's own environment would tell daybook.
pub fn remove_variables(command: &mut Command) {
    let prefixes = ["DAYBOOK_", "LISTEN_", "NOTIFY_", "WATCHDOG_"];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}
