//! A server within the test's own process, for tests that bring their own routes.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use axum::Router;
use daybook::serve::{ServeError, StopOutcome, serve};
use daybook::shutdown::Stop;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::{SOON, db, eventually, raw};

/// A running server. Dropping it stops it as SIGTERM would, and asserts that it ended in order.
pub struct Embedded {
    pub listen: String,
    pub admin: String,
    stop: mpsc::Sender<Stop>,
    thread: Option<JoinHandle<Result<StopOutcome, ServeError>>>,
    dir: TempDir,
}

impl Embedded {
    /// Serves `routes`, with these keys set as in the environment (`COMMIT__DEADLINE`).
    pub fn start(routes: Router, keys: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = dir.path().join("requests.db");
        let mut environment = vec![
            ("DAYBOOK_LISTEN".into(), "127.0.0.1:0".into()),
            ("DAYBOOK_ADMIN__LISTEN".into(), "127.0.0.1:0".into()),
            ("DAYBOOK_DATABASE__PATH".into(), database.into_os_string()),
        ];
        for (key, value) in keys {
            environment.push((format!("DAYBOOK_{key}").into(), value.into()));
        }
        let config = daybook::config::load_from(None, environment, dir.path())
            .expect("a sound configuration");
        let (stop, stops) = mpsc::channel(1);
        let (ready, addresses) = oneshot::channel();
        let thread = thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(serve(config, routes, Default::default(), stops, |at| {
                    ready.send(at).expect("the test waits");
                }))
        });
        let mut addresses = addresses.blocking_recv().expect("it starts");
        Self {
            listen: addresses.listen.remove(0),
            admin: addresses.admin_listen.remove(0),
            stop,
            thread: Some(thread),
            dir,
        }
    }

    pub fn database_path(&self) -> PathBuf {
        self.dir.path().join("requests.db")
    }

    /// Waits until `n` records wait for the writer.
    pub fn wait_until_queued(&self, n: u32) {
        eventually(&format!("{n} records are waiting"), SOON, || {
            raw::get(&self.admin, "/metrics")
                .text()
                .lines()
                .any(|line| {
                    line.starts_with("daybook_commit_queue_records{")
                        && line.ends_with(&format!(" {n}"))
                })
        });
    }

    /// Waits for the end of a server that cannot go on.
    pub fn ends_by_itself(mut self) -> ServeError {
        let thread = self.thread.take().expect("not joined yet");
        eventually("the server has ended", SOON, || thread.is_finished());
        thread.join().expect("no panic").expect_err("an error")
    }

    /// Stops it as SIGTERM would, and waits for its end.
    pub fn stop(mut self) -> StopOutcome {
        self.end().expect("no panic").expect("no error")
    }

    fn end(&mut self) -> thread::Result<Result<StopOutcome, ServeError>> {
        // Fails where it has ended by itself; why, its thread says.
        let _ = self.stop.blocking_send(Stop::Terminate);
        let thread = self.thread.take().expect("not joined yet");
        thread.join()
    }

    pub fn db(&self) -> Connection {
        db::open(&self.database_path())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        let ended = self.end();
        if !thread::panicking() {
            let ended = ended.expect("no panic").expect("no error");
            assert_eq!(ended, StopOutcome::Drained);
        }
    }
}
