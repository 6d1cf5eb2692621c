use daybook::RequestStore;
use daybook::axum::extract::Path;
use daybook::axum::http::StatusCode;
use daybook::axum::response::Result;
use daybook::axum::{Router, routing::post};
use daybook::testing::Server;

use super::{app, number};

const CALLS_PER_MINUTE_MAX: i64 = 3;

/// Counts over all replicas, and over restarts. HAProxy limits by address (HAPROXY_RATE_LIMIT); this one limits by user.
async fn call(store: RequestStore, Path(user_id): Path<i64>) -> Result<StatusCode> {
    let count: i64 = store
        .write(move |tx| {
            tx.execute(
                "delete from calls where user_id = ? and minute < unixepoch() / 60",
                [user_id],
            )?;
            let count = "insert into calls values (?, unixepoch() / 60, 1)
                on conflict do update set count = count + 1 returning count";
            tx.query_row(count, [user_id], |row| row.get(0))
        })
        .await?;
    if count > CALLS_PER_MINUTE_MAX {
        return Ok(StatusCode::TOO_MANY_REQUESTS);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[test]
fn a_user_over_the_limit_gets_429_and_another_does_not() {
    let server = Server::start(app(Router::new().route("/users/{id}/calls", post(call))));
    // A new minute may begin while the test runs.
    let is_limited =
        (0..=2 * CALLS_PER_MINUTE_MAX).any(|_| server.post("/users/1/calls", "").status() == 429);
    assert!(is_limited);
    assert_eq!(server.post("/users/2/calls", "").status(), 204);
    assert_eq!(
        number(&server, "select count(*) from calls where user_id = 2"),
        1
    );
}
