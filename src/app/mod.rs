//! [`App`]: what a project declares, and [`Context`]: what its code gets back.

mod changed;
mod context;
pub(crate) mod routes;
mod store;
mod unrecorded;

use axum::Router;

pub use context::Context;
pub use routes::RoutesError;
pub use store::AppStore;
pub use unrecorded::{Unrecorded, unrecorded};

/// An application's own error, of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
}

impl App {
    /// `name` is the program's name, in its messages and its help. `routes` makes the application's routes when the
    /// replica starts, before the database is open. If it returns an error or panics, the program exits with status 78.
    ///
    /// - A response leaves only after its request is on disk. That includes a panic, which becomes a 500.
    /// - A path without a route gets axum's 404, which is recorded too.
    /// - A handler gets the whole body, at most `http.body_bytes_max`.
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
        }
    }
}
