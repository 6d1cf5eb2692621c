//! Standard error and standard output that fail or block: nothing is lost but the lines.

use std::fs::File;
use std::io::{PipeReader, Write, pipe};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::common::locks::WriteLock;
use crate::common::{TIMEOUT, client, eventually};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tempfile::TempDir;

/// A server whose log nobody can read. Dropping it kills it.
struct Mute {
    child: Child,
    dir: TempDir,
}

impl Mute {
    /// Starts it with that standard error, and waits until it takes requests.
    fn start(stderr: impl Into<Stdio>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let child = daybook(dir.path(), "serve")
            .stderr(stderr)
            .spawn()
            .expect("starting daybook");
        let mut server = Self { child, dir };
        let socket = server.dir.path().join("public.sock");
        eventually("it takes requests", TIMEOUT, || {
            assert_eq!(server.child.try_wait().expect("its status"), None);
            UnixStream::connect(&socket).is_ok()
        });
        server
    }

    fn address(&self, name: &str) -> String {
        format!("unix:{}", self.dir.path().join(name).display())
    }

    /// Makes it log: a record that expires in the queue is an error, logged once in ten seconds.
    fn provoke_a_line(&self) {
        let lock = WriteLock::take(&self.dir.path().join("requests.db"));
        let response = client::get(&self.address("public.sock"), "/expires");
        assert_eq!(response.status, 503, "{}", response.head);
        drop(lock);
    }

    fn lines_lost(&self) -> f64 {
        let metrics = client::get(&self.address("admin.sock"), "/metrics");
        let sample = |line: &str| {
            line.strip_prefix("daybook_log_lines_lost_total{replica=\"mute\"} ")?
                .parse()
                .ok()
        };
        metrics.text().lines().find_map(sample).expect("the metric")
    }

    fn answers_and_counts_lost_lines(&self) {
        self.provoke_a_line();
        let response = client::get(&self.address("public.sock"), "/after");
        assert_eq!(response.status, 200, "{}", response.head);
        eventually("lost lines are counted", TIMEOUT, || {
            self.lines_lost() > 0.0
        });
    }

    /// Stops it as a supervisor does.
    fn stop(mut self) -> ExitStatus {
        let kill = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(kill.expect("running kill").success());
        eventually("it has ended", TIMEOUT, || {
            self.child.try_wait().expect("its status")
        })
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn daybook(dir: &Path, subcommand: &str) -> Command {
    let socket = |name: &str| format!("unix:{}", dir.join(name).display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command
        .arg(subcommand)
        .current_dir(dir)
        .env("DAYBOOK_LISTEN", socket("public.sock"))
        .env("DAYBOOK_ADMIN__LISTEN", socket("admin.sock"))
        .env("DAYBOOK_REPLICA", "mute")
        .env("DAYBOOK_COMMIT__DEADLINE", "200ms")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Where every write fails with ENOSPC.
fn full_disk() -> File {
    File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full")
}

/// A pipe that nobody reads and that holds no more; it stays so while the reader lives.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("its flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("setting non-blocking");
    while writer.write(&[b'.'; 512]).is_ok() {}
    // The child shares the flag, and programs are usually given a pipe that blocks.
    fcntl_setfl(&writer, flags).expect("setting blocking");
    (reader, writer.into())
}

#[test]
fn it_serves_and_stops_in_order_after_the_reader_of_its_log_has_gone() {
    let (reader, writer) = pipe().expect("a pipe");
    let server = Mute::start(writer);
    drop(reader);
    server.answers_and_counts_lost_lines();
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn it_serves_and_stops_in_order_while_the_disk_of_its_log_is_full() {
    let server = Mute::start(full_disk());
    server.answers_and_counts_lost_lines();
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn it_serves_and_stops_in_order_while_the_reader_of_its_log_is_stuck() {
    let (_reader, writer) = full_pipe();
    let server = Mute::start(writer);
    server.provoke_a_line();
    let response = client::get(&server.address("public.sock"), "/after");
    assert_eq!(response.status, 200, "{}", response.head);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn init_has_done_its_work_whoever_reads_what_it_says() {
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
fn a_wrong_configuration_is_78_where_nobody_can_be_told() {
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
fn a_configuration_that_could_not_be_printed_is_a_failure() {
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
