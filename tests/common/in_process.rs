//! An application of a test's own routes, inside the test's own process.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use daybook::App;
use daybook::testing::Server;
use rusqlite::Connection;

use super::server::metric;
use super::{TIMEOUT, eventually};

/// A [`Server`], and its addresses for the client that sends raw bytes.
pub struct InProcessServer {
    /// The public listener, as `ADDR:PORT`.
    pub listen: String,
    /// The admin listener.
    pub admin: String,
    server: Server,
}

impl InProcessServer {
    /// Serves `routes` with these configuration keys.
    pub fn start(routes: Router, keys: &[(&str, &str)]) -> Self {
        Self::start_app(App::new("test", |_| Ok(routes)), keys)
    }

    /// Serves an application that declares more than its routes.
    pub fn start_app(app: App, keys: &[(&str, &str)]) -> Self {
        let server = Server::with(app, keys);
        let admin = server.admin_url().strip_prefix("http://").expect("a URL");
        Self {
            listen: server.addr().to_string(),
            admin: admin.to_owned(),
            server,
        }
    }

    /// Waits until the queue has exactly `n` records.
    pub fn wait_until_queued(&self, n: u32) {
        eventually(&format!("{n} records are queued"), TIMEOUT, || {
            metric(&self.admin, "daybook_commit_queue_records", &[]) == f64::from(n)
        });
    }

    /// Stops a server that does not stop cleanly, or has failed, and returns the reason.
    pub fn stop_uncleanly(self) -> String {
        let panic = catch_unwind(AssertUnwindSafe(|| self.server.stop())).expect_err("a reason");
        *panic.downcast().expect("a message")
    }

    pub fn db(&self) -> Connection {
        self.server.database()
    }
}

impl Deref for InProcessServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
