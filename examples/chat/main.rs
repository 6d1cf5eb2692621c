//! A chat over all replicas, with server-sent events: `cargo run --example chat`, then open <http://127.0.0.1:8080/> twice.

use std::process::ExitCode;

use daybook::axum::extract::Form;
use daybook::axum::http::{HeaderMap, StatusCode};
use daybook::axum::response::sse::{Event, KeepAlive, Sse};
use daybook::axum::response::{Html, Result};
use daybook::axum::{Router, routing::get, routing::post};
use daybook::rusqlite::{self, Connection};
use daybook::{App, BoxError, Context, RequestStore};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

fn main() -> ExitCode {
    daybook::run(app())
}

fn app() -> App {
    App::new("chat", routes).migrations(daybook::migrations!("examples/chat/migrations"))
}

fn routes(_: &Context) -> std::result::Result<Router, BoxError> {
    Ok(Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/messages", post(say).get(listen)))
}

#[derive(Deserialize, Serialize)]
struct Message {
    author: String,
    text: String,
}

/// 204: the message is on disk, and on its way to all listeners.
async fn say(store: RequestStore, Form(message): Form<Message>) -> Result<StatusCode> {
    store
        .write(move |tx| {
            tx.execute(
                "insert into messages (author, text) values (?, ?)",
                [message.author, message.text],
            )
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends all later messages, whichever replica took them. A browser whose connection broke says which message was its last.
async fn listen(
    context: Context,
    store: RequestStore,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, BoxError>>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let last = match last {
        Some(last) => last,
        None => store.read(|db| db.query_row("select ifnull(max(id), 0) from messages", [], |row| row.get(0))).await?,
    };
    let stopping = context.stopping();
    let changed = context.changed();
    let batches = stream::try_unfold((context, changed, last), |(context, mut changed, last)| async move {
        loop {
            // Before the read: a message that comes during it wakes the next turn.
            changed.borrow_and_update();
            let new = context.store().read(move |db| messages_after(db, last)).await?;
            if let Some(&(newest, _)) = new.last() {
                let events = new.into_iter().map(|(id, message)| event(id, &message));
                return Ok::<_, BoxError>(Some((stream::iter(events), (context, changed, newest))));
            }
            changed.changed().await?;
        }
    });
    // Without an end, the stream would be cut off at a stop.
    let events = batches.try_flatten().take_until(stopping);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn messages_after(db: &Connection, last: i64) -> rusqlite::Result<Vec<(i64, Message)>> {
    db.prepare_cached("select id, author, text from messages where id > ? order by id limit 100")?
        .query_map([last], |row| {
            let message = Message {
                author: row.get(1)?,
                text: row.get(2)?,
            };
            Ok((row.get(0)?, message))
        })?
        .collect()
}

fn event(id: i64, message: &Message) -> std::result::Result<Event, BoxError> {
    Ok(Event::default().id(id.to_string()).json_data(message)?)
}
