//! `Context::changed()`: a stream learns of new records of all replicas.

use std::thread;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use daybook::testing::Server;
use daybook::{App, BoxError, Context};

use crate::common::syncs::Syncs;

/// `/wait/N` responds with the newest id, once that is at least N. It has no record, which would itself be new.
fn app() -> App {
    async fn wait(Path(id): Path<i64>, context: Context) -> String {
        let mut changed = context.changed();
        let newest = *changed
            .wait_for(|newest| *newest >= id)
            .await
            .expect("an id");
        newest.to_string()
    }
    fn routes(_: &Context) -> Result<Router, BoxError> {
        Ok(Router::new()
            .route("/wait/{id}", get(wait))
            .layer(daybook::unrecorded())
            .fallback(async || "recorded"))
    }
    App::new("test", routes)
}

#[test]
fn every_listener_of_every_replica_sees_the_newest_id() {
    let first = Server::start(app());
    let path = first.database_path().to_str().expect("text");
    let second = Server::with(app(), &[("database.path", path)]);
    assert_eq!(first.get("/wait/0").text(), "0");
    thread::scope(|scope| {
        let waits = [&first, &first, &second].map(|server| scope.spawn(|| server.get("/wait/1")));
        assert_eq!(second.get("/").record_id(), Some(1));
        for wait in waits {
            assert_eq!(wait.join().expect("a response").text(), "1");
        }
    });
    // Nobody has listened meanwhile.
    for id in 2..5 {
        assert_eq!(first.get("/").record_id(), Some(id));
    }
    assert_eq!(second.get("/wait/4").text(), "4");
}

/// A commit of another process can be read before it is synced. This test runs itself once more, with a library that
/// counts the syncs of the write-ahead log.
#[test]
fn at_full_an_id_is_shown_after_a_sync() {
    const NAME: &str = "context::changed::at_full_an_id_is_shown_after_a_sync";
    let Some(syncs) = Syncs::in_a_second_run(NAME) else {
        return;
    };
    let server = Server::with(app(), &[("database.synchronous", "full")]);
    assert_eq!(server.get("/wait/0").text(), "0");
    let foreign = server.database();
    let before = syncs.count();
    foreign
        .execute_batch(
            "pragma synchronous = off;
             insert into requests (timestamp, method, path, content_length) values (1, 'GET', '/', 0)",
        )
        .expect("a record of another process");
    assert_eq!(syncs.count(), before);
    assert_eq!(server.get("/wait/1").text(), "1");
    assert!(syncs.count() > before, "the id was shown before a sync");
}
