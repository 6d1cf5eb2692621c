//! [`App`]: what a project declares.

mod migrations;
pub(crate) mod routes;

use axum::Router;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::SectionType;
use crate::context::{BoxError, Context};
use crate::jobs::{Declaration, Schedule};
use crate::store::AppSchema;
pub use migrations::{Migrations, MigrationsError};
pub use routes::RoutesError;

type MakeRoutes = Box<dyn FnOnce(&Context) -> Result<Router, BoxError> + Send>;

/// An application: its name, its routes, and what else it declares. [`run`](crate::run) makes a program of it.
///
/// ```no_run
/// use daybook::axum::{Router, routing::get};
/// use daybook::{App, BoxError, Context};
///
/// fn routes(_: &Context) -> Result<Router, BoxError> {
///     Ok(Router::new().route("/", get(|| async { "hello\n" })))
/// }
///
/// fn main() -> std::process::ExitCode {
///     daybook::run(App::new("hello", routes))
/// }
/// ```
pub struct App {
    pub(crate) name: &'static str,
    pub(crate) routes: MakeRoutes,
    pub(crate) jobs: Vec<Declaration>,
    pub(crate) config: Option<SectionType>,
    migrations: Option<Migrations>,
}

impl App {
    /// `name` is the program's name, in its messages and its help. `routes` makes the application's routes when the
    /// replica starts, before the database is open. If it returns an error or panics, the program exits with status 78.
    /// `init` calls it, too, so that a program that cannot serve migrates no database: do no more than prepare there.
    ///
    /// - A response leaves only after its request is on disk. That includes a panic, which becomes a 500.
    /// - A path without a route gets axum's 404, which is recorded too.
    /// - A handler that takes the body or a [`RequestStore`](crate::RequestStore) runs once the whole body has arrived, at
    ///   most `http.body_bytes_max`. [`body_limit`](crate::body_limit) and [`streamed_body`](crate::streamed_body) change
    ///   that for a route. If the body is refused, the client gets that response, whatever the handler returns.
    /// - daybook's own 503 says that there is no row. A handler's 503 has a row and a `record-id`, like any response; a
    ///   `record-id` that a handler sets is removed.
    /// - At shutdown a response of known length is sent to its end, within `shutdown.grace`. A stream of unknown length
    ///   is cut when the server stops accepting; [`Context::stopping`] has an example that ends in time.
    /// - A handler may return `daybook::websocket` (feature `websocket`), or axum's own WebSocket upgrade. At shutdown
    ///   axum's own reads as closed, and its handler has one second to finish.
    pub fn new(
        name: &'static str,
        routes: impl FnOnce(&Context) -> Result<Router, BoxError> + Send + 'static,
    ) -> Self {
        Self {
            name,
            routes: Box::new(routes),
            config: None,
            jobs: Vec::new(),
            migrations: None,
        }
    }

    /// Declares the application's own configuration: the section `[app]` of the file, and `DAYBOOK_APP__…` in the
    /// environment. [`Context::config`] returns it.
    ///
    /// The keys are the fields of `T`, and `T::default()` has their defaults. A struct within `T` is a section, such as
    /// `[app.mail]`. Each subcommand that reads the configuration checks the section before it does anything else: a wrong
    /// value or an unknown key exits with status 78. `config` prints the section, and `config --default` its defaults.
    ///
    /// - The type of a field decides what a value means: `port = 25` and `port = "25"` are the same, and so are `DAYBOOK_APP__PORT=25`
    ///   and both of them. A list may be one value, or a text such as `["a", "b"]`.
    /// - A field of an own type may check its value: with `#[serde(try_from = "String")]`, the error becomes part of the message.
    /// - [`Secret`](crate::Secret) is for passwords: it is never printed, and can come from a file.
    /// - A map that is empty by default, or an `Option` that is `None`, may have any keys.
    ///
    /// ```
    /// use daybook::axum::{Router, routing::get};
    /// use daybook::{App, Context, Secret};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Deserialize, Serialize)]
    /// struct Settings {
    ///     title: String,
    ///     entries_per_page: usize,
    ///     smtp_password: Secret,
    /// }
    ///
    /// impl Default for Settings {
    ///     fn default() -> Self {
    ///         Self { title: "Guestbook".into(), entries_per_page: 20, smtp_password: Secret::default() }
    ///     }
    /// }
    ///
    /// async fn title(context: Context) -> String {
    ///     context.config::<Settings>().title.clone()
    /// }
    ///
    /// let app = App::new("guestbook", |_| Ok(Router::new().route("/", get(title)))).config::<Settings>();
    /// # drop(app);
    /// ```
    #[must_use]
    pub fn config<T>(mut self) -> Self
    where
        T: DeserializeOwned + Serialize + Default + Send + Sync + 'static,
    {
        self.config = Some(SectionType::of::<T>());
        self
    }

    /// Declares a job: `run` is called whenever `schedule` says so, on one replica.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use daybook::testing::Server;
    /// use daybook::{App, BoxError, Context, Schedule};
    /// # use daybook::axum::Router;
    /// # fn routes(_: &Context) -> Result<Router, BoxError> { Ok(Router::new()) }
    ///
    /// /// Removes the sessions that have ended.
    /// async fn purge(context: Context) -> Result<(), BoxError> {
    ///     let store = context.store();
    ///     # store.write(|tx| tx.execute_batch("create table if not exists sessions (ends_at)")).await?;
    ///     store
    ///         .write(|tx| tx.execute("delete from sessions where ends_at < unixepoch()", []))
    ///         .await?;
    ///     Ok(())
    /// }
    ///
    /// let app = App::new("forum", routes)
    ///     .job("purge", Schedule::every(Duration::from_secs(600)), purge)
    ///     .job("digest", Schedule::daily("07:30"), async |_| Ok(()));
    ///
    /// // The first run is at once.
    /// let server = Server::start(app);
    /// let runs = "select count(*) from daybook_jobs where name = 'purge' and succeeded_at is not null";
    /// while server.database().query_row(runs, [], |row| row.get(0)) != Ok(1) {
    ///     std::thread::sleep(Duration::from_millis(10));
    /// }
    /// ```
    ///
    /// - Runs of one job never overlap, over all replicas. Different jobs run at the same time.
    /// - A run has a thread and a tokio runtime of its own. It may block, compute, and use tokio's timers and I/O. It ends when
    ///   `run` returns: tasks that it has spawned are cancelled, and blocking ones are waited for.
    /// - A run fails if it returns an error or panics, or if its process ends. The log has the reason, and so has the table
    ///   `daybook_jobs`. A failed run is not repeated: the next one is at its next time. Write a job so that the next run
    ///   completes what the last one left.
    /// - When the replica stops, a run has until the end of `shutdown.grace`. A long job should watch
    ///   [`Context::stopping`].
    /// - A replica named `next`, the canary, runs no jobs.
    /// - `name` has at most 40 lower-case letters, digits and hyphens, and does not begin with `daybook-`. A wrong name or
    ///   schedule, or the same name twice, ends the program at its start with status 78.
    pub fn job<F, R>(mut self, name: &'static str, schedule: Schedule, run: F) -> Self
    where
        F: Fn(Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.jobs.push(Declaration::new(name, schedule, run));
        self
    }

    /// Declares the application's own tables: SQL files that [`migrations!`](crate::migrations!) compiles in.
    ///
    /// The files are named `0001_notes.sql`, `0002_authors.sql` and so on, without a gap. `init`, or else `serve` when it
    /// starts, runs the files that have not run on the database yet, in order. Steps of daybook's own schema and all files
    /// run in one transaction: after an error the database is as it was, and the program exits with status 78.
    ///
    /// - **A file that has run must not change.** Write a new one instead. The database keeps each file's checksum.
    /// - **Rollback.** An older program works on a newer database, as long as no migration forbids it. If one takes away what
    ///   older programs need, its first line says which version is the oldest that still works: `-- oldest: 3`.
    /// - **Rollout.** Replicas of the version before run while the migration does. So add a column in one version, and use it.
    ///   Remove the old one in a later version, with `-- oldest: N`.
    /// - **Time.** No request can be recorded while migrations run. If all of them together take longer than `commit.deadline`,
    ///   they are undone, and the program exits with status 78. `init --allow-downtime` lets them take longer.
    /// - **Limits.** A migration begins and ends no transaction, sets no pragmas, and changes no table of daybook's: `requests`,
    ///   `app_schema`, `app_migrations` and `daybook_…`. An index on `requests` is allowed. A foreign key to `requests` is not:
    ///   old records may be deleted. Foreign keys between the application's tables are checked at the end.
    /// - **Names.** The database keeps [`App::new`]'s `name`. Another application is refused on it.
    ///
    /// ```no_run
    /// # use daybook::axum::Router;
    /// # use daybook::{App, BoxError, Context};
    /// # fn routes(_: &Context) -> Result<Router, BoxError> { Ok(Router::new()) }
    /// fn main() -> std::process::ExitCode {
    /// # /*
    ///     daybook::run(App::new("guestbook", routes).migrations(daybook::migrations!("migrations")))
    /// # */
    /// # daybook::run(App::new("guestbook", routes).migrations(daybook::migrations!("tests/programs/migrations")))
    /// }
    /// ```
    #[must_use]
    pub fn migrations(mut self, migrations: Migrations) -> Self {
        self.migrations = Some(migrations);
        self
    }

    /// The application's part of the database's schema.
    ///
    /// # Errors
    /// A mistake in its migrations.
    pub(crate) fn schema(&self) -> Result<AppSchema, MigrationsError> {
        match &self.migrations {
            Some(migrations) => migrations.schema(self.name),
            None => Ok(AppSchema {
                application: self.name,
                migrations: Vec::new(),
            }),
        }
    }
}
