use std::sync::Mutex;
use std::time::Duration;

use daybook::axum::http::StatusCode;
use daybook::axum::response::Result;
use daybook::axum::{Router, routing::post};
use daybook::rusqlite;
use daybook::testing::Server;
use daybook::{App, BoxError, Context, RequestStore, Schedule};

use super::number;
use crate::common::{TIMEOUT, eventually};

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

/// Stands for the crate lettre: writes each mail into a table, and fails for one recipient.
async fn send(mail: Mail) -> Result<(), BoxError> {
    let Mail {
        recipient, text, ..
    } = mail;
    if recipient == "nobody@example.org" {
        return Err("there is no such recipient".into());
    }
    SENT.lock().expect("no panic").push((recipient, text));
    Ok(())
}

static SENT: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

#[test]
fn mail_of_a_recorded_request_is_sent_and_a_failure_is_tried_again_later() {
    let server = Server::start(app());
    for recipient in ["ada@example.org", "nobody@example.org"] {
        assert_eq!(server.post("/orders", recipient).status(), 202);
    }
    let attempted =
        "select count(*) from outbox where recipient = 'nobody@example.org' and attempts = 1
        and next_attempt_at > unixepoch()";
    eventually("both were tried", 4 * TIMEOUT, || {
        number(&server, "select count(*) from outbox") == 1 && number(&server, attempted) == 1
    });
    let sent = SENT.lock().expect("no panic");
    assert_eq!(
        *sent,
        [(
            "ada@example.org".to_owned(),
            "Thank you for your order.".to_owned()
        )]
    );
}
