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
    let last = match headers.get("last-event-id") {
        Some(id) => id
            .to_str()
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or(StatusCode::BAD_REQUEST)?,
        None => store.read(newest).await?,
    };
    let stopping = context.stopping();
    let changed = context.changed();
    let batches = stream::try_unfold(
        (context, changed, last),
        |(context, mut changed, last)| async move {
            loop {
                // Before the read: a message that comes during it wakes the next turn.
                changed.borrow_and_update();
                let new = context
                    .store()
                    .read(move |db| messages_after(db, last))
                    .await?;
                if let Some(&(newest, _)) = new.last() {
                    let events = new.into_iter().map(|(id, message)| event(id, &message));
                    return Ok::<_, BoxError>(Some((
                        stream::iter(events),
                        (context, changed, newest),
                    )));
                }
                changed.changed().await?;
            }
        },
    );
    // Without an end, the stream would be cut off at a stop.
    let events = batches.try_flatten().take_until(stopping);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn newest(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("select ifnull(max(id), 0) from messages", [], |row| {
        row.get(0)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpStream;

    use daybook::axum::http::Request;
    use daybook::axum::http::header::CONTENT_TYPE;
    use daybook::testing::Server;

    fn say(server: &Server, form: &'static str) -> u16 {
        let request = Request::post("/messages")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        server.send(request.expect("a request")).status().as_u16()
    }

    /// A browser's stream of messages.
    struct Listener(BufReader<TcpStream>);

    impl Listener {
        /// Returns when the stream has begun.
        fn connect(server: &Server, last_event_id: Option<i64>) -> Self {
            let mut stream = TcpStream::connect(server.addr()).expect("a connection");
            let last = last_event_id.map(|id| format!("last-event-id: {id}\r\n"));
            let last = last.unwrap_or_default();
            write!(stream, "GET /messages HTTP/1.1\r\nhost: a\r\n{last}\r\n").expect("sent");
            let mut listener = Self(BufReader::new(stream));
            assert!(listener.next_line("HTTP/1.1 200").is_some());
            assert!(listener.next_line("\r\n").is_some());
            listener
        }

        /// The next line that begins so; none at the stream's end.
        fn next_line(&mut self, start: &str) -> Option<String> {
            let mut lines = std::iter::from_fn(|| {
                let mut line = String::new();
                let length = self.0.read_line(&mut line).expect("a line");
                (length > 0).then_some(line)
            });
            lines.find(|line| line.starts_with(start))
        }
    }

    #[test]
    fn a_message_reaches_the_listeners_of_all_replicas() {
        let first = Server::start(app());
        let path = first.database_path().to_str().expect("text");
        let second = Server::with(app(), &[("database.path", path)]);
        let mut listeners = [
            Listener::connect(&first, None),
            Listener::connect(&second, None),
        ];
        assert_eq!(say(&second, "author=ada&text=%3Cb%3E"), 204);
        for listener in &mut listeners {
            let data = listener.next_line("data:").expect("an event");
            assert_eq!(data, "data: {\"author\":\"ada\",\"text\":\"<b>\"}\n");
        }
    }

    #[test]
    fn a_browser_that_connects_again_gets_the_messages_it_has_missed() {
        let server = Server::start(app());
        for text in ["author=a&text=1", "author=a&text=2", "author=a&text=3"] {
            assert_eq!(say(&server, text), 204);
        }
        let mut listener = Listener::connect(&server, Some(1));
        assert!(
            listener
                .next_line("data:")
                .is_some_and(|data| data.contains("\"2\""))
        );
        assert!(
            listener
                .next_line("data:")
                .is_some_and(|data| data.contains("\"3\""))
        );
    }

    #[test]
    fn a_stop_ends_the_streams() {
        let server = Server::start(app());
        let mut listener = Listener::connect(&server, None);
        server.stop();
        assert_eq!(listener.next_line("data:"), None);
    }
}
