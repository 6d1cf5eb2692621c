//! Makes the application's routes, and finds mistakes in them before the database is opened.

use axum::Router;
use axum::routing::get;

use super::MakeRoutes;
use crate::context::{BoxError, Context};
use crate::telemetry::catch_panic;

/// Why an application has no routes. A restart does not cure it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum RoutesError {
    #[error("the application's routes: {0}")]
    Failed(#[source] BoxError),
    /// axum panics where two routes overlap.
    #[error("the application's routes: {0}")]
    Panicked(String),
    #[error("health_path: {0:?} is also a route of the application: give one of them another path")]
    HealthPath(String),
}

/// Calls the application's function, and compares its routes with `health_path`.
pub(crate) fn build(
    make_routes: MakeRoutes,
    context: &Context,
    health_path: Option<&str>,
) -> Result<Router, RoutesError> {
    let routes = catch_panic(|| make_routes(context))
        .map_err(RoutesError::Panicked)?
        .map_err(RoutesError::Failed)?;
    if let Some(path) = health_path {
        // A router cannot list its routes, but it panics where another one overlaps.
        let braces_escaped = path.replace('{', "{{").replace('}', "}}");
        let with_health_path = routes.clone().without_v07_checks();
        catch_panic(|| drop(with_health_path.route(&braces_escaped, get(|| async {}))))
            .map_err(|_| RoutesError::HealthPath(path.to_owned()))?;
    }
    Ok(routes)
}
