use std::path::Path;
use std::sync::{Arc, Mutex};

use daybook::BoxError;
use daybook::axum::extract::{Path as UrlPath, State};
use daybook::axum::http::StatusCode;
use daybook::axum::{Router, routing::put};
use daybook::rusqlite::{self, Connection};
use daybook::testing::Server;

use super::app;

/// For data that may be lost: it is not in the backup, needs no record, and does not wait for other replicas' commits.
#[derive(Clone)]
struct Cache(Arc<Mutex<Connection>>);

impl Cache {
    fn open(path: &Path) -> Result<Self, BoxError> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "pragma journal_mode = wal; pragma synchronous = off; pragma busy_timeout = 5000;
             create table if not exists cache (key text primary key, value text not null) without rowid;",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// On a thread of its own: a handler must not block the event loop.
    async fn put(self, key: String, value: String) -> Result<(), BoxError> {
        let write = move || {
            let connection = self
                .0
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            connection.execute("insert or replace into cache values (?, ?)", [key, value])
        };
        tokio::task::spawn_blocking(write).await??;
        Ok(())
    }
}

async fn keep(
    State(cache): State<Cache>,
    UrlPath(key): UrlPath<String>,
    value: String,
) -> StatusCode {
    match cache.put(key, value).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn routes(path: &Path) -> Result<Router, BoxError> {
    Ok(Router::new()
        .route("/cache/{key}", put(keep))
        .with_state(Cache::open(path)?))
}

#[test]
fn a_second_database_keeps_a_value() -> rusqlite::Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache.db");
    let server = Server::start(app(routes(&path).unwrap()));
    let request = daybook::axum::http::Request::put("/cache/a")
        .body("1")
        .unwrap();
    assert_eq!(server.send(request).status(), 204);
    let value: String =
        Connection::open(path)?.query_row("select value from cache", [], |row| row.get(0))?;
    assert_eq!(value, "1");
    Ok(())
}
