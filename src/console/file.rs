//! One file of the page, as a response.

use std::path::Path;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use include_dir::File;
use sha2::{Digest, Sha256};

/// The page runs only its own files, and connects only to where it comes from. A path in a record stays text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Clone)]
pub(super) struct PageFile {
    content: &'static [u8],
    content_type: &'static str,
    etag: String,
}

impl PageFile {
    pub fn new(embedded: &'static File<'static>) -> Self {
        let content = embedded.contents();
        let hash = Sha256::digest(content);
        let digits: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            content,
            content_type: content_type(embedded.path()),
            etag: format!("\"{digits}\""),
        }
    }

    /// 304 if the browser has this version. It asks each time, so that a new version needs no reload.
    pub fn respond(&self, request: &HeaderMap) -> Response {
        let head = [
            (CONTENT_TYPE, self.content_type),
            (ETAG, &self.etag),
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let known = request.get_all(IF_NONE_MATCH).iter();
        if known.into_iter().any(|tags| self.is_among(tags.as_bytes())) {
            return (StatusCode::NOT_MODIFIED, head).into_response();
        }
        (head, self.content).into_response()
    }

    /// Whether a list of entity tags has this one. A proxy that compresses makes it weak (`W/`).
    fn is_among(&self, tags: &[u8]) -> bool {
        tags.split(|byte| *byte == b',').any(|tag| {
            let tag = tag.trim_ascii();
            let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
            tag == b"*" || tag == self.etag.as_bytes()
        })
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
