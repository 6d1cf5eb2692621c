//! The guard under hyper, over loopback TCP, with a small service that sends refusals and echoes bodies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::http::guard::{CloseReason, ConnectionState, Guard, HeadBudget, Limits, Refusal};

const LIMITS: Limits = Limits {
    line_bytes_max: 8192,
    head_bytes_max: 32_768,
    fields_max: 100,
    body_bytes_max: 1 << 20,
    header_timeout: Duration::from_secs(60),
    idle_timeout: Duration::from_secs(60),
    write_timeout: Duration::from_secs(60),
    closing_timeout: Duration::from_secs(1),
};
const SHORT: Duration = Duration::from_millis(50);
const BIG: usize = 64 << 20;

struct Server {
    address: SocketAddr,
    /// Why the guard closed each connection without a response.
    closed: mpsc::UnboundedReceiver<Option<CloseReason>>,
    drain: watch::Sender<bool>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, closed) = mpsc::unbounded_channel();
        let (drain, draining) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (sender, draining) = (sender.clone(), draining.clone());
                tokio::spawn(async move { sender.send(serve(socket, limits, draining).await) });
            }
        });
        Self {
            address,
            closed,
            drain,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends, and reads to the end of the connection without shutting down the sending side.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        read_to_end(&mut client).await
    }

    async fn close_reason(&mut self) -> Option<CloseReason> {
        in_time(self.closed.recv()).await.unwrap()
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, future)
        .await
        .expect("a result in time")
}

async fn read_to_end(client: &mut TcpStream) -> String {
    let mut response = Vec::new();
    in_time(client.read_to_end(&mut response)).await.unwrap();
    String::from_utf8(response).unwrap()
}

async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut response = String::new();
    while !response.ends_with(end) {
        response.push(char::from(in_time(client.read_u8()).await.unwrap()));
    }
    response
}

async fn serve(
    socket: TcpStream,
    limits: Limits,
    mut draining: watch::Receiver<bool>,
) -> Option<CloseReason> {
    let state = Arc::new(ConnectionState::new());
    let (guard, _gone) = Guard::new(socket, limits, HeadBudget::new(usize::MAX), state.clone());
    let service = service_fn(|request| respond(request, &state));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(guard), service)
    );
    tokio::select! {
        _ = connection.as_mut() => return state.close_reason(),
        _ = draining.wait_for(|draining| *draining) => state.close_when_idle(),
    }
    let _ = connection.await;
    state.close_reason()
}

async fn respond(
    request: Request<Incoming>,
    state: &ConnectionState,
) -> Result<Response<Full<Bytes>>, &'static str> {
    if let Some(refusal) = state.take_request_start().refusal {
        return Ok(refuse(&refusal));
    }
    if request.uri().path() == "/early" {
        return Ok(Response::new(Full::from("early")));
    }
    if request.uri().path() == "/big" {
        return Ok(Response::new(Full::from(vec![b'x'; BIG])));
    }
    match request.into_body().collect().await {
        Ok(body) => Ok(Response::new(Full::new(body.to_bytes()))),
        Err(_) => match state.body_refusal() {
            Some(refusal) => Ok(refuse(&refusal)),
            None => Err("the client has gone"),
        },
    }
}

fn refuse(refusal: &Refusal) -> Response<Full<Bytes>> {
    let response = Response::builder().status(refusal.status);
    let response = response.header(CONNECTION, "close");
    response.body(Full::from(refusal.reason)).unwrap()
}

#[tokio::test]
async fn a_refusal_arrives_and_the_connection_closes() {
    let mut server = Server::start(LIMITS).await;
    let response = server.exchange(b"GET / HTTP/1.1\r\nA : b\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(response.ends_with("white space in or after a field's name"));
    assert_eq!(server.close_reason().await, None);
    let response = server.exchange(b"HEAD / HTTP/1.1\r\n\r\n").await;
    assert!(response.ends_with("\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn clients_that_upload_ten_megabytes_all_read_the_early_response() {
    let server = Server::start(LIMITS).await;
    let starts: [(&[u8], &str); 4] = [
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10485760\r\n\r\n",
            "413",
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 10485760\r\n\r\n",
            "400",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx",
            "400",
        ),
        (
            b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
            "200",
        ),
    ];
    for (start, status) in starts {
        for _ in 0..10 {
            let mut client = server.connect().await;
            client.write_all(start).await.unwrap();
            let body = vec![b'x'; 10 << 20];
            client.write_all(&body).await.unwrap();
            client.shutdown().await.unwrap();
            let response = read_to_end(&mut client).await;
            assert!(
                response.starts_with(&format!("HTTP/1.1 {status} ")),
                "{response}"
            );
        }
    }
}

#[tokio::test]
async fn pipelined_requests_get_responses_in_order_up_to_a_refused_one() {
    let server = Server::start(LIMITS).await;
    let post = |body| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{body}");
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\nc\r\n0\r\nA: b\r\n\r\n";
    let all = [
        post("a"),
        post("b"),
        chunked.to_owned(),
        "GET a HTTP/1.1\r\n\r\n".to_owned(),
        post("d"),
    ];
    let response = server.exchange(all.concat().as_bytes()).await;
    let responses: Vec<_> = response.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(responses.len(), 4, "{response}");
    for (response, (status, body)) in responses.iter().zip([
        ("200", "\na"),
        ("200", "\nb"),
        ("200", "\nc"),
        ("400", "URI"),
    ]) {
        assert!(
            response.starts_with(status) && response.ends_with(body),
            "{response}"
        );
    }
}

#[tokio::test]
async fn a_slow_head_gets_a_response_and_silence_does_not() {
    let mut server = Server::start(Limits {
        header_timeout: SHORT,
        ..LIMITS
    })
    .await;
    assert!(
        server
            .exchange(b"GET / HT")
            .await
            .starts_with("HTTP/1.1 408 ")
    );
    assert_eq!(server.close_reason().await, None);
    assert_eq!(server.exchange(b"").await, "");
    assert_eq!(
        server.close_reason().await,
        Some(CloseReason::HeaderTimeout)
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_response() {
    let mut server = Server::start(Limits {
        idle_timeout: SHORT,
        ..LIMITS
    })
    .await;
    let response = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
    assert_eq!(server.close_reason().await, Some(CloseReason::IdleTimeout));
}

#[tokio::test]
async fn a_client_that_has_shut_down_its_sending_side_gets_its_response() {
    let mut server = Server::start(LIMITS).await;
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 ",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 400 "),
        ("GET", "HTTP/1.1 400 "),
        ("\r\n", ""),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh",
            "",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh",
            "",
        ),
    ];
    for (bytes, start) in cases {
        let mut client = server.connect().await;
        client.write_all(bytes.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let response = read_to_end(&mut client).await;
        assert!(response.starts_with(start), "{bytes:?}: {response}");
        assert!(
            !start.is_empty() || response.is_empty(),
            "{bytes:?}: {response}"
        );
        assert_eq!(server.close_reason().await, None);
    }
}

#[tokio::test]
async fn a_client_may_wait_for_100_continue() {
    let server = Server::start(LIMITS).await;
    let head = |expect, length| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect:{expect}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    for expect in [
        " 100-Continue",
        "100-continue,",
        " ,\t,100-continue , ",
        " 100-continue, 100-continue",
        " 100-continue\r\nExpect: ,",
        "\r\nExpect: 100-continue",
    ] {
        let mut client = server.connect().await;
        client.write_all(head(expect, 5).as_bytes()).await.unwrap();
        assert_eq!(
            read_until(&mut client, "\r\n\r\n").await,
            "HTTP/1.1 100 Continue\r\n\r\n",
            "{expect:?}"
        );
        client.write_all(b"hello").await.unwrap();
        let response = read_to_end(&mut client).await;
        assert!(
            response.starts_with("HTTP/1.1 200 ") && response.ends_with("hello"),
            "{response}"
        );

        let response = server.exchange(head(expect, 2 << 20).as_bytes()).await;
        assert!(
            response.starts_with("HTTP/1.1 413 "),
            "{expect:?}: {response}"
        );
    }
    for expect in ["", " , "] {
        let request = head(expect, 5) + "hello";
        let response = server.exchange(request.as_bytes()).await;
        assert!(
            response.starts_with("HTTP/1.1 200 ") && response.ends_with("hello"),
            "{expect:?}: {response}"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let mut server = Server::start(Limits {
        write_timeout: SHORT,
        ..LIMITS
    })
    .await;
    let mut client = server.connect().await;
    client
        .write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(server.close_reason().await, Some(CloseReason::WriteTimeout));
}

#[tokio::test]
async fn closing_ends_idle_connections_at_once_and_busy_ones_after_their_request() {
    let mut server = Server::start(LIMITS).await;
    let mut fresh = server.connect().await;
    let mut idle = server.connect().await;
    idle.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        .await
        .unwrap();
    read_until(&mut idle, "\r\n\r\nhi").await;
    let mut busy = server.connect().await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    busy.write_all(head).await.unwrap();
    read_until(&mut busy, "\r\n\r\n").await;
    server.drain.send_replace(true);
    assert_eq!(read_to_end(&mut fresh).await, "");
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(
        (server.close_reason().await, server.close_reason().await),
        (None, None)
    );
    busy.write_all(b"hi").await.unwrap();
    assert!(read_to_end(&mut busy).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.close_reason().await, None);
}
