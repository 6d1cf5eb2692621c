//! `daybook healthcheck`: asks a running replica whether it is ready, or whether it lives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::config::Listen;

/// For all of it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a replica is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether it should get requests. One that waits for a busy database is not ready.
    Ready,
    /// Whether it answers at all. One that does not hangs, and only its end helps.
    Live,
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Question::Ready => "/readyz",
            Question::Live => "/livez",
        }
    }
}

/// Why the answer is no.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum HealthError {
    #[error(
        "no admin listener can be asked (one that systemd hands over, or with a * in its name, has no address that is \
         known): give --address"
    )]
    NoAddress,
    #[error(
        "{0}: a socket handed over by systemd cannot be asked by its name: give its address or path"
    )]
    Inherited(Listen),
    #[error("{address}: {source}")]
    Connect {
        address: Listen,
        source: std::io::Error,
    },
    #[error("{address}: {source}")]
    Http {
        address: Listen,
        source: hyper::Error,
    },
    #[error("{0}: no answer within 5 s")]
    TimedOut(Listen),
    #[error("{address}: {status}: {why}")]
    No {
        address: Listen,
        status: StatusCode,
        why: String,
    },
}

/// The listener to ask when none is named: the first with an address.
///
/// # Errors
/// [`HealthError::NoAddress`].
pub fn default_address(admin_listen: &[Listen]) -> Result<Listen, HealthError> {
    admin_listen
        .iter()
        .find(|listen| !matches!(listen, Listen::Fd(_)) && !listen.is_numbered())
        .cloned()
        .ok_or(HealthError::NoAddress)
}

/// Asks `GET /readyz` or `GET /livez`.
///
/// # Errors
/// [`HealthError`]: anything but 200.
pub async fn check(address: &Listen, question: Question) -> Result<(), HealthError> {
    let answer = async {
        let connect = |source| HealthError::Connect {
            address: address.clone(),
            source,
        };
        match address {
            Listen::Tcp(tcp) => {
                ask(
                    address,
                    TcpStream::connect(reachable(*tcp)).await.map_err(connect)?,
                    question,
                )
                .await
            }
            Listen::Unix(path) => {
                ask(
                    address,
                    UnixStream::connect(path).await.map_err(connect)?,
                    question,
                )
                .await
            }
            Listen::Fd(_) => Err(HealthError::Inherited(address.clone())),
        }
    };
    tokio::time::timeout(TIMEOUT, answer)
        .await
        .unwrap_or_else(|_| Err(HealthError::TimedOut(address.clone())))
}

async fn ask<S>(address: &Listen, stream: S, question: Question) -> Result<(), HealthError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let http = |source| HealthError::Http {
        address: address.clone(),
        source,
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    tokio::spawn(connection);
    let request = Request::get(question.path())
        .header("host", "localhost")
        .body(Body::empty())
        .expect("these parts are valid");
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let why = Limited::new(response.into_body(), 1024).collect().await;
    Err(HealthError::No {
        address: address.clone(),
        status,
        why: why.map_or_else(
            |error| error.to_string(),
            |body| {
                String::from_utf8_lossy(&body.to_bytes())
                    .trim_end()
                    .to_owned()
            },
        ),
    })
}

/// A listener on every address is reached on the local one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
