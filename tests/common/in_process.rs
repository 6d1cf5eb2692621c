//! A server inside the test's own process, for tests with routes of their own.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use axum::Router;
use daybook::App;
use daybook::serve::{ServeError, StopOutcome, serve};
use daybook::shutdown::StopSignal;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::server::metric;
use super::{TIMEOUT, db, eventually};

/// Dropping it sends SIGTERM's [`StopSignal`] and asserts that it drained.
pub struct InProcessServer {
    pub listen: String,
    pub admin: String,
    stop: mpsc::Sender<StopSignal>,
    thread: Option<JoinHandle<Result<StopOutcome, ServeError>>>,
    dir: TempDir,
}

impl InProcessServer {
    /// Serves `routes` with these keys, in their environment form (`COMMIT__DEADLINE`).
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
        let app = App::new("test", |_| Ok(routes));
        let (stop, stops) = mpsc::channel(1);
        let (ready, addresses) = oneshot::channel();
        let thread = thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(serve(config, app, Default::default(), stops, |at| {
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

    /// Waits until the queue has exactly `n` records.
    pub fn wait_until_queued(&self, n: u32) {
        eventually(&format!("{n} records are queued"), TIMEOUT, || {
            metric(&self.admin, "daybook_commit_queue_records", &[]) == f64::from(n)
        });
    }

    /// Waits until the server fails, and returns its error.
    pub fn wait_for_error(mut self) -> ServeError {
        let thread = self.thread.take().expect("not joined yet");
        eventually("the server has ended", TIMEOUT, || thread.is_finished());
        thread.join().expect("no panic").expect_err("an error")
    }

    /// Stops the server as SIGTERM would, and waits for its end.
    pub fn stop(mut self) -> StopOutcome {
        self.stop_and_join().expect("no panic").expect("no error")
    }

    fn stop_and_join(&mut self) -> thread::Result<Result<StopOutcome, ServeError>> {
        // Fails if the server has already ended; the thread's result says why.
        let _ = self.stop.blocking_send(StopSignal::Terminate);
        let thread = self.thread.take().expect("not joined yet");
        thread.join()
    }

    pub fn db(&self) -> Connection {
        db::open(&self.database_path())
    }
}

impl Drop for InProcessServer {
    fn drop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        let result = self.stop_and_join();
        if !thread::panicking() {
            let outcome = result.expect("no panic").expect("no error");
            assert_eq!(outcome, StopOutcome::Drained);
        }
    }
}
