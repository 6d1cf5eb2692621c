//! Keeps daybook from committing for as long as a test wants, in the two ways others do.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::client::Client;
use super::server::Server;
use super::{TIMEOUT, db, eventually};

/// The lock file beside a database.
pub fn lock_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// What a replica holds while it commits. Dropping it lets go.
pub struct WriteLock(File);

impl WriteLock {
    /// Waits for whoever has it.
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
        // Not by closing alone: a child that another test is just starting may still have a copy.
        self.0.unlock().expect("unlocking");
    }
}

/// Whether a process waits in the kernel for a lock on a file that another one has.
pub fn waits_for_a_lock(pid: u32) -> bool {
    let pid = pid.to_string();
    let locks = fs::read_to_string("/proc/locks").expect("the locks");
    let mut lines = locks.lines().map(str::split_whitespace);
    // A waiter's line has "->" before the kind of lock and the process.
    lines.any(|mut line| line.any(|word| word == "->") && line.any(|word| word == pid))
}

/// What a writer holds that knows nothing of the lock file. Dropping it rolls back.
pub struct WriteTransaction(Connection);

impl WriteTransaction {
    /// Waits for whoever is writing.
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

/// Waits until exactly `n` records wait for the writer.
pub fn wait_until_queued(server: &Server, n: u32) {
    eventually(&format!("{n} records are waiting"), TIMEOUT, || {
        server.metric("daybook_commit_queue_records", &[]) == f64::from(n)
    });
}

/// A connection that has sent a GET of that path and waits for its response.
pub fn send_get(server: &Server, path: &str) -> Client {
    let mut client = Client::connect(server.addr());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    client
}

/// `n` such connections, to `/0`, `/1`…, all of whose records are waiting for the writer.
pub fn queue_gets(server: &Server, n: u32) -> Vec<Client> {
    let clients = (0..n).map(|n| send_get(server, &format!("/{n}"))).collect();
    wait_until_queued(server, n);
    clients
}

/// Stops the process, and waits until every thread of it stands still. `signal("CONT")` lets it go on.
pub fn freeze(server: &Server) {
    server.signal("STOP");
    eventually("every thread stands still", TIMEOUT, || {
        let threads = threads(server.pid(), "stat");
        // The state follows the name, which is in parentheses.
        !threads.is_empty() && threads.iter().all(|stat| stat.contains(") T "))
    });
}

/// That file of `/proc` of every thread of a process. A thread that has ended while we look is left out.
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
