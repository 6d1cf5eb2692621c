use std::time::Duration;

use daybook::axum::http::StatusCode;
use daybook::axum::response::Result;
use daybook::axum::{Router, routing::post};
use daybook::rusqlite;
use daybook::testing::Server;
use daybook::{App, BoxError, Context, RequestStore, Schedule};

use super::number;

/// The mail is written in the transaction of the request's record. A job sends it: mail is never sent for a request that was
/// not recorded, and never forgotten.
async fn order(store: RequestStore, recipient: String) -> Result<StatusCode> {
    store
        .write(move |tx| {
            let text = "Thank you for your order.";
            tx.execute(
                "insert into outbox (recipient, text) values (?, ?)",
                [&recipient, text],
            )
        })
        .await?;
    Ok(StatusCode::ACCEPTED)
}

struct Mail {
    id: i64,
    recipient: String,
    text: String,
}

/// Sends each mail at least once: if the process ends between the two steps, the next run sends it again.
async fn send_mail(context: Context) -> Result<(), BoxError> {
    let store = context.store();
    for mail in store.read(due).await? {
        let id = mail.id;
        let sent = send(mail).await;
        store
            .write(move |tx| match sent {
                Ok(()) => tx.execute("delete from outbox where id = ?", [id]),
                // Waits 1, 2, 4 … minutes, at most a day.
                Err(_) => tx.execute(
                    "update outbox set attempts = attempts + 1,
                        next_attempt_at = unixepoch() + min(60 << attempts, 86400) where id = ?",
                    [id],
                ),
            })
            .await?;
    }
    Ok(())
}

fn due(db: &rusqlite::Connection) -> rusqlite::Result<Vec<Mail>> {
    let sql = "select id, recipient, text from outbox where next_attempt_at <= unixepoch() order by id limit 100";
    let mut mails = db.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Mail {
            id: row.get(0)?,
            recipient: row.get(1)?,
            text: row.get(2)?,
        })
    };
    mails.query_map([], read)?.collect()
}

fn app() -> App {
    App::new(
        "orders",
        |_| Ok(Router::new().route("/orders", post(order))),
    )
    .migrations(daybook::migrations!("tests/cookbook/migrations"))
    .job(
        "send-mail",
        Schedule::every(Duration::from_secs(10)),
        send_mail,
    )
}
