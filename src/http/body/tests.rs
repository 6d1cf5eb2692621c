//! The timeout, on a paused clock.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{Bodies, BodyError, RequestBody};

const TIMEOUT: Duration = Duration::from_secs(30);

type Arrived = (Result<(), BodyError>, u64);

/// A client whose request's body the server reads, and the results.
fn connect() -> (DuplexStream, mpsc::UnboundedReceiver<Arrived>) {
    let timeout = ("DAYBOOK_HTTP__BODY_TIMEOUT".into(), "30s".into());
    let config =
        crate::config::load_from(None, [timeout], Path::new("/")).expect("a configuration");
    let bodies = Arc::new(Bodies::new(&config.http, Path::new("/nowhere/requests.db")));
    let (client, server) = duplex(1 << 16);
    let (sender, results) = mpsc::unbounded_channel();
    let respond = move |request: Request<Incoming>| {
        let (body, handler_body) = RequestBody::new(request.into_body(), &bodies);
        let sender = sender.clone();
        async move {
            let result = body.arrive().await;
            drop(handler_body);
            sender
                .send((result, body.bytes_read()))
                .expect("the test waits");
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    };
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(server), service_fn(respond));
    tokio::spawn(connection);
    (client, results)
}

#[tokio::test(start_paused = true)]
async fn the_timeout_is_for_each_pause_in_a_body() {
    let (mut client, mut results) = connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n")
        .await
        .expect("sending");
    for _ in 0..5 {
        sleep(TIMEOUT - Duration::from_secs(1)).await;
        client.write_all(b"a").await.expect("sending");
    }
    assert_eq!(results.recv().await, Some((Ok(()), 5)));

    client
        .write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nab")
        .await
        .expect("sending");
    let last_byte = Instant::now();
    assert_eq!(results.recv().await, Some((Err(BodyError::TimedOut), 2)));
    assert_eq!(last_byte.elapsed().as_secs(), TIMEOUT.as_secs());
}
