//! An application of a test's own routes, with a table of notes.

use axum::Router;
use daybook::App;
use daybook::testing::Server;

use super::server::metric;

/// Serves `routes` on a database with an empty table of notes.
pub fn start(routes: Router, keys: &[(&str, &str)]) -> Server {
    start_app(App::new("test", |_| Ok(routes)), keys)
}

/// As [`start`], with an application that declares more than its routes.
pub fn start_app(app: App, keys: &[(&str, &str)]) -> Server {
    let server = Server::with(app, keys);
    server
        .database()
        .execute_batch(
            "create table if not exists notes (id integer primary key, text text not null)",
        )
        .expect("the table");
    server
}

fn texts(server: &Server, sql: &str) -> Vec<String> {
    let database = server.database();
    let mut statement = database.prepare(sql).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts")
}

/// The texts of all notes.
pub fn notes(server: &Server) -> Vec<String> {
    texts(server, "select text from notes order by id")
}

/// The paths of all records.
pub fn records(server: &Server) -> Vec<String> {
    texts(server, "select path from requests order by id")
}

/// A metric's sum over all labels.
pub fn metric_of(server: &Server, name: &str) -> f64 {
    let admin = server.admin_url().strip_prefix("http://").expect("a URL");
    metric(admin, name, &[])
}
