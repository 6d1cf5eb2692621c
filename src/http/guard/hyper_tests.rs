//! The guard under hyper, over loopback TCP, with a small service: refusals are answered, bodies come back.

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

use super::{CloseReason, ConnectionState, Guard, HeadBudget, Limits, Refusal};

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
    /// Why each connection was closed in silence.
    ended: mpsc::UnboundedReceiver<Option<CloseReason>>,
    drain: watch::Sender<bool>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ends, ended) = mpsc::unbounded_channel();
        let (drain, draining) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (ends, draining) = (ends.clone(), draining.clone());
                tokio::spawn(async move { ends.send(connection(socket, limits, draining).await) });
            }
        });
        Self {
            address,
            ended,
            drain,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends, and reads to the end of the connection without ending the sending side.
    async fn ask(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        rest(&mut client).await
    }

    async fn end(&mut self) -> Option<CloseReason> {
        bounded(self.ended.recv()).await.unwrap()
    }
}

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, future).await.expect("in time")
}

async fn rest(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    bounded(client.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn until(client: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        answer.push(char::from(bounded(client.read_u8()).await.unwrap()));
    }
    answer
}

async fn connection(
    socket: TcpStream,
    limits: Limits,
    mut draining: watch::Receiver<bool>,
) -> Option<CloseReason> {
    let exchange = Arc::new(ConnectionState::new());
    let (guard, _gone) = Guard::new(
        socket,
        limits,
        HeadBudget::new(usize::MAX),
        exchange.clone(),
    );
    let service = service_fn(|request| answer(request, &exchange));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(guard), service)
    );
    tokio::select! {
        _ = connection.as_mut() => return exchange.closed_by(),
        _ = draining.wait_for(|draining| *draining) => exchange.close_when_idle(),
    }
    let _ = connection.await;
    exchange.closed_by()
}

async fn answer(
    request: Request<Incoming>,
    exchange: &ConnectionState,
) -> Result<Response<Full<Bytes>>, &'static str> {
    if let Some(refusal) = exchange.take_request_start().refusal {
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
        Err(_) => match exchange.body_refusal() {
            Some(refusal) => Ok(refuse(&refusal)),
            None => Err("the client is gone"),
        },
    }
}

fn refuse(refusal: &Refusal) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(refusal.status);
    let answer = answer.header(CONNECTION, "close");
    answer.body(Full::from(refusal.reason)).unwrap()
}

#[tokio::test]
async fn a_refusal_arrives_and_the_connection_closes() {
    let mut server = Server::start(LIMITS).await;
    let answer = server.ask(b"GET / HTTP/1.1\r\nA : b\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("white space in or after a field's name"));
    assert_eq!(server.end().await, None);
    let answer = server.ask(b"HEAD / HTTP/1.1\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn clients_that_upload_ten_megabytes_all_see_why_they_are_refused() {
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
            let answer = rest(&mut client).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_up_to_a_bad_one() {
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
    let answer = server.ask(all.concat().as_bytes()).await;
    let bodies: Vec<_> = answer.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(bodies.len(), 4, "{answer}");
    for (answer, (status, body)) in bodies.iter().zip([
        ("200", "\na"),
        ("200", "\nb"),
        ("200", "\nc"),
        ("400", "URI"),
    ]) {
        assert!(
            answer.starts_with(status) && answer.ends_with(body),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_slow_head_is_answered_and_silence_is_not() {
    let mut server = Server::start(Limits {
        header_timeout: SHORT,
        ..LIMITS
    })
    .await;
    assert!(server.ask(b"GET / HT").await.starts_with("HTTP/1.1 408 "));
    assert_eq!(server.end().await, None);
    assert_eq!(server.ask(b"").await, "");
    assert_eq!(server.end().await, Some(CloseReason::HeaderTimeout));
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_silence() {
    let mut server = Server::start(Limits {
        idle_timeout: SHORT,
        ..LIMITS
    })
    .await;
    let answer = server.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(server.end().await, Some(CloseReason::IdleTimeout));
}

#[tokio::test]
async fn a_client_that_has_ended_its_side_gets_its_answer() {
    let mut server = Server::start(LIMITS).await;
    let asked = [
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
    for (bytes, wanted) in asked {
        let mut client = server.connect().await;
        client.write_all(bytes.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with(wanted), "{bytes:?}: {answer}");
        assert!(
            !wanted.is_empty() || answer.is_empty(),
            "{bytes:?}: {answer}"
        );
        assert_eq!(server.end().await, None);
    }
}

#[tokio::test]
async fn a_client_may_wait_to_be_told_to_continue() {
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
            until(&mut client, "\r\n\r\n").await,
            "HTTP/1.1 100 Continue\r\n\r\n",
            "{expect:?}"
        );
        client.write_all(b"hello").await.unwrap();
        let answer = rest(&mut client).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"),
            "{answer}"
        );

        let answer = server.ask(head(expect, 2 << 20).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{expect:?}: {answer}");
    }
    for expect in ["", " , "] {
        let request = head(expect, 5) + "hello";
        let answer = server.ask(request.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"),
            "{expect:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
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
    assert_eq!(server.end().await, Some(CloseReason::WriteTimeout));
}

#[tokio::test]
async fn idle_connections_end_at_once_when_told_and_busy_ones_after_their_request() {
    let mut server = Server::start(LIMITS).await;
    let mut fresh = server.connect().await;
    let mut idle = server.connect().await;
    idle.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        .await
        .unwrap();
    until(&mut idle, "\r\n\r\nhi").await;
    let mut busy = server.connect().await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    busy.write_all(head).await.unwrap();
    until(&mut busy, "\r\n\r\n").await;
    server.drain.send_replace(true);
    assert_eq!(rest(&mut fresh).await, "");
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!((server.end().await, server.end().await), (None, None));
    busy.write_all(b"hi").await.unwrap();
    assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.end().await, None);
}
