//! daybook's own responses: one line of text each.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::rejected::Rejected;

/// The id of the request's row.
pub const RECORD_ID: HeaderName = HeaderName::from_static("record-id");

pub fn plain(status: StatusCode, line: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{line}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// Refuses a request and closes its connection.
pub fn refused(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = plain(status, reason);
    close_after(&mut response);
    response
}

/// 503: the row was not written.
pub fn unavailable(reason: Rejected) -> Response<Body> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, &reason.to_string());
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    if matches!(reason, Rejected::Memory | Rejected::Draining) {
        // The body may be unread, so the next request's start is unknown.
        close_after(&mut response);
    }
    response
}

/// Closes the connection after this response.
pub fn close_after(response: &mut Response<Body>) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}
