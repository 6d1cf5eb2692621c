//! Errors of the admin listener, as RFC 9457 defines them.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::query::ParameterError;
use crate::store::ReadError;
use crate::telemetry::log_rate_limited;

/// Why a request failed, as RFC 9457 defines it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    #[schema(value_type = String)]
    title: &'static str,
    status: u16,
    /// The mistake, and the right form.
    detail: String,
    /// The parameter that is wrong, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            parameter: None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        // The type's fields are texts and a number.
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response =
            (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<ParameterError> for Problem {
    fn from(error: ParameterError) -> Self {
        let detail = error.to_string();
        Self {
            parameter: Some(error.parameter),
            ..Self::new(StatusCode::BAD_REQUEST, detail)
        }
    }
}

impl From<ReadError<rusqlite::Error>> for Problem {
    fn from(error: ReadError<rusqlite::Error>) -> Self {
        log_rate_limited("reading the records failed", &error);
        match error {
            ReadError::TimedOut(_) | ReadError::NoConnection(_) | ReadError::Closed => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the records cannot be read now: try again, or ask for less time",
            ),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "reading the records failed: see the log",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_read_that_may_work_later_is_503_and_one_that_failed_is_500() {
        let long = Duration::from_secs(1);
        for (error, status) in [
            (ReadError::TimedOut(long), 503),
            (ReadError::NoConnection(long), 503),
            (ReadError::Closed, 503),
            (
                ReadError::Closure(rusqlite::Error::QueryReturnedNoRows),
                500,
            ),
            (ReadError::Sqlite(rusqlite::Error::QueryReturnedNoRows), 500),
        ] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status().as_u16(), status);
            let is_retryable = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(is_retryable, status == 503);
        }
    }
}
