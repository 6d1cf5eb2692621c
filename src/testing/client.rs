//! A blocking HTTP client: one request on a connection of its own.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::BoxError;

/// For a request and its whole response. Longer than the defaults of daybook's own timeouts for a request.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A complete response of a [`Server`](super::Server).
#[derive(Clone, Debug)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Response {
    /// The status. It can be compared with a number: `assert_eq!(response.status(), 200)`.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first header of that name.
    ///
    /// # Panics
    /// The value is not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(
            value
                .to_str()
                .unwrap_or_else(|error| panic!("{name}: {value:?}: {error}")),
        )
    }

    /// The id of the request's row, or `None` where daybook recorded nothing.
    ///
    /// # Panics
    /// The header `record-id` is not a number.
    pub fn record_id(&self) -> Option<i64> {
        let id = self.header("record-id")?;
        Some(
            id.parse()
                .unwrap_or_else(|error| panic!("record-id: {id:?}: {error}")),
        )
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// The body is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body)
            .unwrap_or_else(|error| panic!("the body is not text: {error}"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// The body is not JSON of that type.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "not the expected JSON: {error}: {}",
                String::from_utf8_lossy(&self.body)
            )
        })
    }
}

/// Sends a request and reads the whole response. A thread of its own, so that a test may itself run within a runtime.
pub(super) fn send(server: SocketAddr, request: Request<Body>) -> Response {
    let target = format!("{} {}", request.method(), request.uri());
    let exchange = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let exchanged = tokio::time::timeout(TIMEOUT, exchange(server, request)).await;
            exchanged
                .unwrap_or_else(|_| Err(format!("it is not complete after {TIMEOUT:?}").into()))
        })
    };
    match thread::spawn(exchange).join() {
        Ok(response) => response.unwrap_or_else(|error| panic!("no response to {target}: {error}")),
        Err(panic) => resume_unwind(panic),
    }
}

async fn exchange(server: SocketAddr, mut request: Request<Body>) -> Result<Response, BoxError> {
    // A client sends the path alone, and the server's name in a header.
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(path.clone());
    }
    let host = HeaderValue::try_from(server.to_string())?;
    request.headers_mut().entry(HOST).or_insert(host);

    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Response {
        status: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}
