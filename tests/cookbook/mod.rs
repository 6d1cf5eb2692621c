//! The code of docs/cookbook.md. tests/documentation.rs compares both.

mod cron;
mod feature_flags;
mod forms;
mod idempotency;
mod outbox;
mod rate_limits;
mod second_database;
mod sessions;
mod static_files;
mod uploads;

use daybook::App;
use daybook::axum::Router;
use daybook::axum::http::{Request, header::CONTENT_TYPE};
use daybook::testing::{Response, Server};

/// An application with these routes and the tables of all entries.
fn app(routes: Router) -> App {
    App::new("cookbook", |_| Ok(routes))
        .migrations(daybook::migrations!("tests/cookbook/migrations"))
}

fn post_form(server: &Server, path: &str, form: &str) -> Response {
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.to_owned());
    server.send(request.expect("a request"))
}

fn number(server: &Server, sql: &str) -> i64 {
    let database = server.database();
    database.query_row(sql, [], |row| row.get(0)).expect(sql)
}
