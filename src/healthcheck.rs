//! `daybook healthcheck`: sends `GET /readyz` or `GET /livez` to a running replica.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};

use crate::admin_client::{ConnectError, Target};
use crate::config::Listen;

/// For the whole check.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The path to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `/readyz`: the replica should get requests. It is not ready while it waits for a busy database.
    Ready,
    /// `/livez`: the replica responds at all. One that does not is stuck and must be restarted.
    Live,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Probe::Ready => "/readyz",
            Probe::Live => "/livez",
        }
    }
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum HealthError {
    #[error(
        "admin.listen has no address to check (fd:NAME and a path with * are not addresses): give --address"
    )]
    NoAddress,
    #[error("{0}: a socket from systemd cannot be reached by its name: give its address or path")]
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
    #[error("{0}: no response within 5 s")]
    TimedOut(Listen),
    #[error("{address}: {status}: {reason}")]
    Unhealthy {
        address: Listen,
        status: StatusCode,
        reason: String,
    },
}

/// The first admin listener that has an address.
///
/// # Errors
/// [`HealthError::NoAddress`]
pub fn default_address(admin_listen: &[Listen]) -> Result<Listen, HealthError> {
    admin_listen
        .iter()
        .find(|listen| !matches!(listen, Listen::Fd(_)) && !listen.is_numbered())
        .cloned()
        .ok_or(HealthError::NoAddress)
}

/// Sends `GET /readyz` or `GET /livez` to `address`.
///
/// # Errors
/// [`HealthError`], for any response but 200.
pub async fn check(address: &Listen, probe: Probe) -> Result<(), HealthError> {
    let target = match address {
        Listen::Tcp(tcp) => Target::Tcp(reachable(*tcp).to_string()),
        Listen::Unix(path) => Target::Unix(path.clone()),
        Listen::Fd(_) => return Err(HealthError::Inherited(address.clone())),
    };
    tokio::time::timeout(TIMEOUT, send(address, &target, probe))
        .await
        .unwrap_or_else(|_| Err(HealthError::TimedOut(address.clone())))
}

async fn send(address: &Listen, target: &Target, probe: Probe) -> Result<(), HealthError> {
    let http = |source| HealthError::Http {
        address: address.clone(),
        source,
    };
    let mut sender = target.connect().await.map_err(|error| match error {
        ConnectError::Connect(source) => HealthError::Connect {
            address: address.clone(),
            source,
        },
        ConnectError::Http(source) => http(source),
    })?;
    let request = Request::get(probe.path())
        .header("host", "localhost")
        .body(Body::empty())
        .expect("these parts are valid");
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let body = Limited::new(response.into_body(), 1024).collect().await;
    Err(HealthError::Unhealthy {
        address: address.clone(),
        status,
        reason: match body {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes())
                .trim_end()
                .to_owned(),
            Err(error) => error.to_string(),
        },
    })
}

/// Replaces `0.0.0.0` and `[::]` with the loopback address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
