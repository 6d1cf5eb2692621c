//! Standard error or standard output fails or blocks: daybook loses log lines and nothing else.

use std::fs::File;
use std::io::{PipeReader, Write, pipe};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::common::locks::WriteLock;
use crate::common::process::{DAYBOOK, Process};
use crate::common::server::metric;
use crate::common::{TIMEOUT, client, eventually};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tempfile::TempDir;

/// A server whose log cannot be read. Dropping it kills it.
struct ServerWithoutLog {
    process: Process,
    dir: TempDir,
}

impl ServerWithoutLog {
    /// Starts daybook with that standard error, and waits until it responds.
    fn start(stderr: impl Into<Stdio>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let process = Process::spawn(daybook(dir.path(), "serve").stderr(stderr));
        let mut server = Self { process, dir };
        let socket = server.dir.path().join("public.sock");
        eventually("it responds", TIMEOUT, || {
            assert_eq!(server.process.exit_status(), None);
            UnixStream::connect(&socket).is_ok()
        });
        server
    }

    fn address(&self, name: &str) -> String {
        format!("unix:{}", self.dir.path().join(name).display())
    }

    /// Lets a record expire in the queue, an error that is logged once in ten seconds.
    fn provoke_a_log_line(&self) {
        let lock = WriteLock::take(&self.dir.path().join("requests.db"));
        let response = client::get(&self.address("public.sock"), "/expires");
        assert_eq!(response.status, 503, "{}", response.head);
        drop(lock);
    }

    fn lines_lost(&self) -> f64 {
        metric(
            &self.address("admin.sock"),
            "daybook_log_lines_lost_total",
            &[],
        )
    }

    fn assert_responds_and_counts_lost_lines(&self) {
        self.provoke_a_log_line();
        let response = client::get(&self.address("public.sock"), "/after");
        assert_eq!(response.status, 200, "{}", response.head);
        eventually("lost lines are counted", TIMEOUT, || {
            self.lines_lost() > 0.0
        });
    }

    /// Sends SIGTERM and waits for the exit.
    fn stop(mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait_exit(TIMEOUT)
    }
}

fn daybook(dir: &Path, subcommand: &str) -> Command {
    let socket = |name: &str| format!("unix:{}", dir.join(name).display());
    let mut command = Command::new(DAYBOOK);
    command
        .arg(subcommand)
        .current_dir(dir)
        .env("DAYBOOK_LISTEN", socket("public.sock"))
        .env("DAYBOOK_ADMIN__LISTEN", socket("admin.sock"))
        .env("DAYBOOK_REPLICA", "test")
        .env("DAYBOOK_COMMIT__DEADLINE", "200ms")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// `/dev/full`: every write fails with ENOSPC.
fn full_disk() -> File {
    File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full")
}

/// A full pipe that nobody reads. Keep the reader: dropping it closes the pipe.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("its flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("setting non-blocking");
    while writer.write(&[b'.'; 512]).is_ok() {}
    // The child shares this flag, and a pipe usually blocks.
    fcntl_setfl(&writer, flags).expect("setting blocking");
    (reader, writer.into())
}

#[test]
fn it_serves_and_stops_after_the_reader_of_its_log_is_gone() {
    let (reader, writer) = pipe().expect("a pipe");
    let server = ServerWithoutLog::start(writer);
    drop(reader);
    server.assert_responds_and_counts_lost_lines();
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn it_serves_and_stops_while_the_disk_of_its_log_is_full() {
    let server = ServerWithoutLog::start(full_disk());
    server.assert_responds_and_counts_lost_lines();
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn it_serves_and_stops_while_the_reader_of_its_log_is_stuck() {
    let (_reader, writer) = full_pipe();
    let server = ServerWithoutLog::start(writer);
    server.provoke_a_log_line();
    let response = client::get(&server.address("public.sock"), "/after");
    assert_eq!(response.status, 200, "{}", response.head);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn init_succeeds_without_a_reader_of_its_output() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let (_stuck, stuck) = full_pipe();
    for (stdout, stderr) in [
        (full_disk().into(), full_disk().into()),
        (writer.into(), Stdio::null()),
        (Stdio::null(), stuck),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let status = daybook(dir.path(), "init")
            .env("DAYBOOK_LOG__LEVEL", "trace")
            .stdout::<Stdio>(stdout)
            .stderr::<Stdio>(stderr)
            .status()
            .expect("running daybook");
        assert_eq!(status.code(), Some(0));
        assert!(dir.path().join("requests.db").exists());
    }
}

#[test]
fn a_wrong_configuration_exits_78_without_standard_error() {
    let (_stuck, stuck) = full_pipe();
    for stderr in [full_disk().into(), stuck] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let status = daybook(dir.path(), "serve")
            .env("DAYBOOK_LOG__LEVEL", "loud")
            .stderr::<Stdio>(stderr)
            .status()
            .expect("running daybook");
        assert_eq!(status.code(), Some(78));
    }
}

#[test]
fn config_fails_if_it_cannot_print() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = daybook(dir.path(), "config")
        .stdout(full_disk())
        .output()
        .expect("running daybook");
    assert_eq!(output.status.code(), Some(1));
    let error_line = String::from_utf8_lossy(&output.stderr);
    assert!(
        error_line.starts_with("daybook: standard output: "),
        "{error_line}"
    );
}
