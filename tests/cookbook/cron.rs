use daybook::axum::Router;
use daybook::{App, BoxError, Context, Schedule};

/// One replica runs it, every day at three in the morning UTC.
async fn purge_sessions(context: Context) -> Result<(), BoxError> {
    let store = context.store();
    let purged = store
        .write(|tx| tx.execute("delete from sessions where expires_at < unixepoch()", []))
        .await?;
    tracing::info!(purged, "expired sessions are deleted");
    Ok(())
}

fn app() -> App {
    App::new("members", |_| Ok(Router::new()))
        .migrations(daybook::migrations!("tests/cookbook/migrations"))
        .job("purge-sessions", Schedule::daily("03:00"), purge_sessions)
}
