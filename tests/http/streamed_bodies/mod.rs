//! Bodies that a handler reads as they arrive.

mod reads;
mod stops;
mod writes;

use std::sync::{Arc, mpsc};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{any, post};
use daybook::{RequestStore, WriteError, streamed_body};
use http_body_util::BodyExt;

use crate::common::client::Response;
use crate::common::in_process::InProcessServer;

/// A handler's messages to its test.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Data(usize),
    End,
    Error,
}

#[derive(Clone)]
struct Events(Arc<mpsc::Sender<Event>>);

impl Events {
    fn tell(&self, event: Event) {
        self.0.send(event).expect("the test waits");
    }
}

/// Reads a body to its end, or to its error.
async fn read(events: &Events, body: &mut Body) -> Result<usize, StatusCode> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            events.tell(Event::Error);
            return Err(StatusCode::IM_A_TEAPOT);
        };
        let data = frame.into_data().expect("data");
        length += data.len();
        events.tell(Event::Data(data.len()));
    }
    events.tell(Event::End);
    Ok(length)
}

async fn insert(store: &RequestStore, length: usize) -> Result<usize, WriteError<rusqlite::Error>> {
    store
        .write(move |tx| tx.execute("insert into uploads (length) values (?)", [length as i64]))
        .await
}

fn start(keys: &[(&str, &str)]) -> (InProcessServer, mpsc::Receiver<Event>) {
    async fn count(
        State(events): State<Events>,
        store: RequestStore,
        mut body: Body,
    ) -> Result<String, StatusCode> {
        let length = read(&events, &mut body).await?;
        match insert(&store, length).await {
            Ok(_) => Ok(length.to_string()),
            Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
    async fn writes_too_early(
        State(events): State<Events>,
        store: RequestStore,
        mut body: Body,
    ) -> Result<String, StatusCode> {
        let early = insert(&store, 0).await;
        let length = read(&events, &mut body).await?;
        insert(&store, length)
            .await
            .map_err(|_| StatusCode::IM_A_TEAPOT)?;
        Ok(format!(
            "{:?}, then {length}",
            early.map_err(|error| error.to_string())
        ))
    }
    /// As a multipart parser: it stops at the last byte, and does not ask for the end.
    async fn stops_at_five_bytes(
        State(events): State<Events>,
        store: RequestStore,
        mut body: Body,
    ) -> Result<String, StatusCode> {
        let mut length = 0;
        while length < 5 {
            let frame = body.frame().await.expect("data").expect("no error");
            length += frame.into_data().expect("data").len();
        }
        drop(body);
        events.tell(Event::Data(length));
        Ok(match insert(&store, length).await {
            Ok(_) => "written".to_owned(),
            Err(error) => error.to_string(),
        })
    }
    async fn reads_one_part(mut body: Body) -> (StatusCode, String) {
        let frame = body.frame().await.expect("data").expect("no error");
        let length = frame.into_data().expect("data").len();
        (StatusCode::CONFLICT, length.to_string())
    }
    async fn ends_early_but_keeps_the_body(State(events): State<Events>, mut body: Body) {
        tokio::spawn(async move { read(&events, &mut body).await });
    }
    let (sender, events) = mpsc::channel();
    let routes = Router::new()
        .route("/", any(count))
        .route("/early-write", post(writes_too_early))
        .route("/five", post(stops_at_five_bytes))
        .route("/one-part", post(reads_one_part))
        .route("/keeps", post(ends_early_but_keeps_the_body))
        .layer(streamed_body(3000))
        .with_state(Events(Arc::new(sender)));
    // Smaller than all bodies: these need neither memory nor files.
    let limits = [
        ("http.body_bytes_max", "1"),
        ("http.body_bytes_in_flight_max", "1"),
        ("http.body_disk_bytes_max", "0"),
    ];
    let server = InProcessServer::start(routes, &[&limits, keys].concat());
    server
        .db()
        .execute_batch("create table uploads (length integer)")
        .expect("the table");
    (server, events)
}

fn with_length(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n")
}

fn chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
}

/// Path and `content_length` of each record, and the lengths that handlers wrote.
fn written(server: &InProcessServer) -> (Vec<(String, i64)>, Vec<i64>) {
    let database = server.db();
    let mut records = database
        .prepare("select path, content_length from requests order by id")
        .expect("a query");
    let records = records
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .expect("records");
    let mut uploads = database
        .prepare("select length from uploads")
        .expect("a query");
    let uploads = uploads
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .expect("uploads");
    (records, uploads)
}

fn status_and_text(response: &Response) -> (u16, &str) {
    (response.status, response.text())
}
