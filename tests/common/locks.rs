//! Blocks daybook's commits: with the lock file, a transaction of another writer, or a frozen process.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::client::Client;
use super::server::Server;
use super::{TIMEOUT, db, eventually};

/// The path of a database's lock file.
pub fn lock_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The lock that a replica holds while it commits. Dropping it releases the lock.
pub struct WriteLock(File);

impl WriteLock {
    /// Waits for the current holder.
    pub fn take(database: &Path) -> Self {
        let path = lock_file(database);
        let file = File::options()
            .write(true)
            .open(&path)
            .unwrap_or_else(|e| panic!("opening {}: {e}", path.display()));
        file.lock().expect("locking");
        Self(file)
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Closing is not enough: a child that another test has just forked may have a copy of the descriptor.
        self.0.unlock().expect("unlocking");
    }
}

/// Whether a process waits in the kernel for a file lock.
pub fn waits_for_a_lock(pid: u32) -> bool {
    let pid = pid.to_string();
    let locks = fs::read_to_string("/proc/locks").expect("the locks");
    let mut lines = locks.lines().map(str::split_whitespace);
    // The line of a waiting process has "->" before the kind of lock.
    lines.any(|mut line| line.any(|word| word == "->") && line.any(|word| word == pid))
}

/// A transaction of a writer that does not use the lock file. Dropping it rolls back.
pub struct WriteTransaction(Connection);

impl WriteTransaction {
    /// Waits for the current writer.
    pub fn begin(database: &Path) -> Self {
        let connection = db::open(database);
        connection
            .execute_batch("begin immediate")
            .expect("beginning");
        Self(connection)
    }
}

impl std::ops::Deref for WriteTransaction {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}

/// Waits until the queue has exactly `n` records.
pub fn wait_until_queued(server: &Server, n: u32) {
    eventually(&format!("{n} records are queued"), TIMEOUT, || {
        server.metric("daybook_commit_queue_records", &[]) == f64::from(n)
    });
}

/// Sends a GET on a new connection and does not wait for the response.
pub fn send_get(server: &Server, path: &str) -> Client {
    let mut client = Client::connect(server.addr());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    client
}

/// Sends `n` GETs, of `/0`, `/1` …, and waits until their records are queued.
pub fn queue_gets(server: &Server, n: u32) -> Vec<Client> {
    let clients = (0..n).map(|n| send_get(server, &format!("/{n}"))).collect();
    wait_until_queued(server, n);
    clients
}

/// Stops the process with SIGSTOP, and waits until each of its threads has stopped. `signal("CONT")` resumes it.
pub fn freeze(server: &Server) {
    server.signal("STOP");
    eventually("every thread has stopped", TIMEOUT, || {
        let threads = threads(server.pid(), "stat");
        // The state follows the name in parentheses.
        !threads.is_empty() && threads.iter().all(|stat| stat.contains(") T "))
    });
}

/// The content of `/proc/PID/task/*/FILE`. A thread that ends meanwhile is left out.
pub fn threads(pid: u32, file: &str) -> Vec<String> {
    let read = |task: io::Result<fs::DirEntry>| match fs::read_to_string(
        task.expect("a thread").path().join(file),
    ) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => None,
        Err(e) => panic!("reading {file} of a thread: {e}"),
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    tasks.filter_map(read).collect()
}
