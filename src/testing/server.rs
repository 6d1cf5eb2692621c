//! [`Server`]: an application in a test's own process.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tracing_subscriber::filter::LevelFilter;

use super::client::{self, Response};
use crate::app::App;
use crate::config::{self, Config};
use crate::http::listen::Inherited;
use crate::serve::{Addresses, ServeError, StopOutcome, serve};
use crate::shutdown::StopSignal;

/// For the database that [`Server::database`] opens: a test may find it locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// An application that runs in the test's process, on a thread of its own: the real server on a port that the kernel
/// chooses, with a database in a temporary directory.
///
/// ```
/// use daybook::axum::{Router, routing::post};
/// use daybook::rusqlite;
/// use daybook::testing::Server;
/// use daybook::{App, BoxError, Context};
///
/// fn routes(_: &Context) -> Result<Router, BoxError> {
///     Ok(Router::new().route("/shout", post(async |text: String| text.to_uppercase())))
/// }
///
/// # fn main() -> rusqlite::Result<()> {
/// let server = Server::start(App::new("shout", routes));
///
/// let response = server.post("/shout", "hello");
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.text(), "HELLO");
///
/// // Its row was there before the response.
/// let path: String = server.database().query_row(
///     "select path from requests where id = ?",
///     [response.record_id()],
///     |row| row.get(0),
/// )?;
/// assert_eq!(path, "/shout");
///
/// server.stop();
/// # Ok(())
/// # }
/// ```
///
/// Two settings differ from the defaults: `replica` is `"test"`, and `database.synchronous` is `"normal"`, because no test
/// can see a power failure. The environment and `./daybook.toml` are not read. Warnings and errors of the log are part of
/// the test's output.
///
/// Dropping the server stops it as [`stop`](Self::stop) does.
pub struct Server {
    addr: SocketAddr,
    admin_addr: SocketAddr,
    url: String,
    admin_url: String,
    database: PathBuf,
    stops: mpsc::Sender<StopSignal>,
    thread: Option<JoinHandle<Result<StopOutcome, ServeError>>>,
    _directory: TempDir,
}

impl Server {
    /// Starts `app`, and waits until it is ready.
    ///
    /// # Panics
    /// The application cannot start; the message is the one that the program would print.
    pub fn start(app: App) -> Self {
        Self::with(app, &[])
    }

    /// Starts `app` with some configuration keys: `("commit.deadline", "200ms")`. The value is written as in an environment
    /// variable. `listen` and `admin.listen` must be TCP addresses, and should keep port 0. To start a second replica, give
    /// it the first one's database:
    ///
    /// ```
    /// use daybook::axum::Router;
    /// use daybook::testing::Server;
    /// use daybook::{App, BoxError, Context};
    ///
    /// fn routes(_: &Context) -> Result<Router, BoxError> {
    ///     Ok(Router::new())
    /// }
    ///
    /// let first = Server::start(App::new("counter", routes));
    /// let path = first.database_path().to_str().expect("text");
    /// let second = Server::with(App::new("counter", routes), &[("database.path", path)]);
    /// assert_eq!(first.get("/").record_id(), Some(1));
    /// assert_eq!(second.get("/").record_id(), Some(2));
    /// ```
    ///
    /// # Panics
    /// As [`start`](Self::start); and a key or value is not valid.
    pub fn with(app: App, keys: &[(&str, &str)]) -> Self {
        log_into_the_test_s_output();
        let directory =
            tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let config = load(&app, directory.path(), keys);
        let database = config.database.path.clone();
        let (stops, signals) = mpsc::channel(1);
        let (ready, addresses) = blocking::channel();
        let thread = thread::spawn(move || run(config, app, signals, ready));
        let Ok(addresses) = addresses.recv() else {
            panic!("the application did not start: {}", reason(join(thread)));
        };
        let addr = tcp(&addresses.listen);
        let admin_addr = tcp(&addresses.admin_listen);
        Self {
            addr,
            admin_addr,
            url: format!("http://{addr}"),
            admin_url: format!("http://{admin_addr}"),
            database,
            stops,
            thread: Some(thread),
            _directory: directory,
        }
    }

    /// The public listener, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The public listener's address, for a client that is not an HTTP client.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The admin listener, such as `http://127.0.0.1:40124`.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Sends a GET to a path, with a query if it has one.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub fn get(&self, path: &str) -> Response {
        self.send(valid(Request::get(path).body(())))
    }

    /// Sends a POST as an HTML form does, with `content-type: application/x-www-form-urlencoded`.
    ///
    /// ```
    /// use daybook::axum::response::Redirect;
    /// use daybook::axum::{Form, Router, routing::post};
    /// use daybook::testing::Server;
    /// use daybook::{App, BoxError, Context};
    ///
    /// fn routes(_: &Context) -> Result<Router, BoxError> {
    ///     let sign = async |Form(fields): Form<Vec<(String, String)>>| Redirect::to(&fields[0].1);
    ///     Ok(Router::new().route("/sign", post(sign)))
    /// }
    ///
    /// let server = Server::start(App::new("guestbook", routes));
    /// let response = server.post("/sign", "next=%2Fthanks");
    /// assert_eq!(response.status(), 303);
    /// assert_eq!(response.header("location"), Some("/thanks"));
    /// ```
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub fn post(&self, path: &str, body: impl Into<Body>) -> Response {
        let form = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(valid(form.body(body)))
    }

    /// Sends any request, and reads the whole response. Redirects are not followed, and no cookies are kept. A missing
    /// `host` is added.
    ///
    /// ```
    /// use daybook::axum::http::Request;
    /// use daybook::axum::{Json, Router, routing::put};
    /// use daybook::testing::Server;
    /// use daybook::{App, BoxError, Context};
    ///
    /// fn routes(_: &Context) -> Result<Router, BoxError> {
    ///     Ok(Router::new().route("/double", put(async |Json(n): Json<i64>| Json(2 * n))))
    /// }
    ///
    /// let server = Server::start(App::new("double", routes));
    /// let request = Request::put("/double").header("content-type", "application/json").body("21");
    /// let response = server.send(request.expect("a valid request"));
    /// assert_eq!(response.json::<i64>(), 42);
    /// ```
    ///
    /// # Panics
    /// The connection closes without a response, or the response has no end within a minute.
    pub fn send(&self, request: Request<impl Into<Body>>) -> Response {
        client::send(self.addr, request.map(Into::into))
    }

    /// The metrics, as Prometheus reads them.
    pub fn metrics(&self) -> String {
        let request = valid(Request::get("/metrics").body(Body::empty()));
        client::send(self.admin_addr, request).text().to_owned()
    }

    /// A new connection to the database. Another program that writes would open it in the same way.
    pub fn database(&self) -> Connection {
        let opened = Connection::open(&self.database).and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            Ok(connection)
        });
        opened.unwrap_or_else(|error| panic!("{}: {error}", self.database.display()))
    }

    /// The database's file.
    pub fn database_path(&self) -> &Path {
        &self.database
    }

    /// Stops the server as SIGTERM does, and waits for its end.
    ///
    /// # Panics
    /// The server has failed, or requests were still open after `shutdown.grace`.
    pub fn stop(mut self) {
        self.stop_and_join();
    }

    fn stop_and_join(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        // Fails if the server has already ended; the thread's result says why. (A test may run within a runtime, where
        // `blocking_send` panics.)
        let _ = self.stops.try_send(StopSignal::Terminate);
        let result = join(thread);
        if !matches!(result, Ok(StopOutcome::Drained)) && !thread::panicking() {
            panic!("the server did not stop cleanly: {}", reason(result));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_and_join();
    }
}

/// The server's thread.
fn run(
    config: Config,
    app: App,
    signals: mpsc::Receiver<StopSignal>,
    ready: blocking::Sender<Addresses>,
) -> Result<StopOutcome, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"));
    let serving = serve(config, app, Inherited::default(), signals, |addresses| {
        // The test has not ended: it waits for this.
        let _ = ready.send(addresses);
    });
    let result = runtime.block_on(serving);
    runtime.shutdown_background();
    result
}

fn load(app: &App, directory: &Path, keys: &[(&str, &str)]) -> Config {
    let database = directory.join("requests.db");
    let own = [
        ("listen", "127.0.0.1:0"),
        ("admin.listen", "127.0.0.1:0"),
        ("replica", "test"),
        (
            "database.path",
            database
                .to_str()
                .unwrap_or_else(|| panic!("{}: not UTF-8", database.display())),
        ),
        ("database.synchronous", "normal"),
    ];
    let variables = own
        .iter()
        .chain(keys)
        .map(|(key, value)| (config::variable(key).into(), value.into()));
    config::load_for(app.name, app.config, None, variables, directory)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn valid<B>(request: axum::http::Result<Request<B>>) -> Request<B> {
    request.unwrap_or_else(|error| panic!("not a valid request: {error}"))
}

/// The first listener.
fn tcp(listeners: &[String]) -> SocketAddr {
    let first = &listeners[0];
    first.parse().unwrap_or_else(|_| {
        panic!("{first}: use a TCP address: this server's client knows no other")
    })
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn reason(result: Result<StopOutcome, ServeError>) -> String {
    result.map_or_else(|error| error.to_string(), |outcome| outcome.to_string())
}

/// A server's threads inherit the test's captured output.
fn log_into_the_test_s_output() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_test_writer()
        .finish();
    // Fails from the second server on, and if the test has a subscriber of its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
