//! The program `daybook`: the smallest application. It sends each request's body back.

use std::process::ExitCode;

use daybook::axum::Router;
use daybook::axum::body::Bytes;
use daybook::axum::http::header::CONTENT_TYPE;
use daybook::axum::response::IntoResponse;
use daybook::{App, BoxError, Context};

fn main() -> ExitCode {
    daybook::run(App::new("daybook", routes))
}

fn routes(_: &Context) -> Result<Router, BoxError> {
    Ok(Router::new().fallback(echo))
}

/// Returns the request's body, for any method and path.
async fn echo(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], body)
}
