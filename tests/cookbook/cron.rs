use daybook::axum::Router;
use daybook::testing::Server;
use daybook::{App, BoxError, Context, Schedule};

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
