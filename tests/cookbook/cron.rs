use daybook::axum::Router;
use daybook::axum::http::StatusCode;
use daybook::axum::routing::post;
use daybook::testing::Server;
use daybook::{App, BoxError, Context, Schedule};

use super::{app as with_tables, number};
use crate::common::{TIMEOUT, eventually};

/// One replica runs it, every day at three in the morning UTC.
async fn purge_sessions(context: Context) -> Result<(), BoxError> {
    let store = context.store();
    let sql = "delete from sessions where expires_at < unixepoch()";
    store.write(move |tx| tx.execute(sql, [])).await?;
    Ok(())
}

fn app() -> App {
    App::new("members", |_| Ok(Router::new()))
        .migrations(daybook::migrations!("tests/cookbook/migrations"))
        .job("purge-sessions", Schedule::daily("03:00"), purge_sessions)
}

#[test]
fn a_daily_job_is_declared() {
    let server = Server::start(app());
    let metric = "daybook_job_failures_total{job=\"purge-sessions\"";
    eventually("its metric is there", TIMEOUT, || {
        server.metrics().contains(metric)
    });
}

/// Calls the job at once, as its schedule would.
#[test]
fn sessions_that_have_ended_are_purged() {
    let purge = async |context: Context| {
        purge_sessions(context)
            .await
            .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    };
    let server = Server::start(with_tables(Router::new().route("/purge", post(purge))));
    let database = server.database();
    let sessions = "insert into users values (1, 'ann');
        insert into sessions values (x'01', 1, unixepoch() - 1), (x'02', 1, unixepoch() + 60)";
    database.execute_batch(sessions).unwrap();
    assert_eq!(server.post("/purge", "").status(), 200);
    assert_eq!(number(&server, "select count(*) from sessions"), 1);
}
