//! `--admin`: a replica's admin listener as the source of records.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::admin_client::Target;

/// For the head of a response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A page of a thousand records with the longest paths.
const BODY_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Without a port in the URL.
const HTTP_PORT: u16 = 80;

pub(super) fn parse_target(text: &str) -> Result<Target, String> {
    let wrong = || {
        format!(
            "{text:?} is no admin listener: write http://HOST:PORT, such as http://127.0.0.1:9100, or unix:PATH"
        )
    };
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Target::Unix(path.into()));
    }
    let authority = text.strip_prefix("http://").ok_or_else(wrong)?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let authority: axum::http::uri::Authority = authority.parse().map_err(|_| wrong())?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(wrong());
    }
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => HTTP_PORT,
        _ => authority.port_u16().ok_or_else(wrong)?,
    };
    Ok(Target::Tcp(format!("{}:{port}", authority.host())))
}

/// Why a replica gave no records.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("{target}: {why}")]
    Failed { target: Target, why: String },
    /// A problem, with its own words.
    #[error("{target}: {status}: {detail}")]
    Refused {
        target: Target,
        status: StatusCode,
        detail: String,
    },
}

impl AdminError {
    /// Whether a later attempt can succeed. Another replica or version can be there by then.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Refused { status, .. } => status.is_server_error(),
        }
    }
}

/// Keeps its connection.
pub(crate) struct AdminClient {
    target: Target,
    connection: Option<SendRequest<Body>>,
}

impl AdminClient {
    pub fn new(target: Target) -> Self {
        Self {
            target,
            connection: None,
        }
    }

    /// Sends a GET; returns the response once its head has come.
    pub async fn get(
        &mut self,
        path_and_query: &str,
        last_event_id: Option<i64>,
    ) -> Result<Response<Incoming>, AdminError> {
        let mut request = Request::get(path_and_query).header("host", self.target.host());
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let request = request
            .body(Body::empty())
            .map_err(|error| self.failed(error))?;
        let response = timeout(TIMEOUT, self.send(request))
            .await
            .unwrap_or_else(|_| Err(self.failed("no response within 10 s")))?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let body = Limited::new(response.into_body(), 65_536).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let detail = problem
            .as_ref()
            .and_then(|problem| problem["detail"].as_str());
        Err(AdminError::Refused {
            target: self.target.clone(),
            status,
            detail: match detail {
                Some(detail) => detail.to_owned(),
                None => {
                    "this is not daybook's admin listener, or it has another version".to_owned()
                }
            },
        })
    }

    /// Gets JSON.
    pub async fn json<T: DeserializeOwned>(
        &mut self,
        path_and_query: &str,
    ) -> Result<T, AdminError> {
        let response = self.get(path_and_query, None).await?;
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX);
        let body = body.collect().await.map_err(|error| self.failed(error))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| self.failed(error))
    }

    pub fn failed(&self, why: impl ToString) -> AdminError {
        AdminError::Failed {
            target: self.target.clone(),
            why: why.to_string(),
        }
    }

    async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, AdminError> {
        let kept = self.connection.take().filter(|kept| !kept.is_closed());
        let mut connection = match kept {
            Some(kept) => kept,
            None => {
                let connected = self.target.connect().await;
                connected.map_err(|error| self.failed(error))?
            }
        };
        connection
            .ready()
            .await
            .map_err(|error| self.failed(error))?;
        let response = connection.send_request(request).await;
        let response = response.map_err(|error| self.failed(error))?;
        self.connection = Some(connection);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_listener_is_a_url_or_a_unix_socket() {
        for (text, target) in [
            ("http://127.0.0.1:9100", "127.0.0.1:9100"),
            ("http://[::1]:9100/", "[::1]:9100"),
            ("http://localhost", "localhost:80"),
            ("unix:/run/a b.sock", "unix:/run/a b.sock"),
        ] {
            let parsed = parse_target(text).map(|target| target.to_string());
            assert_eq!(parsed.as_deref(), Ok(target));
        }
        for text in [
            "",
            "unix:",
            "http://",
            "https://localhost:1",
            "localhost:9100",
            "http://h/path",
            "http://a@h",
            "http://h:x",
        ] {
            let error = parse_target(text).unwrap_err();
            assert!(error.contains("write http://HOST:PORT"), "{error}");
        }
    }
}
