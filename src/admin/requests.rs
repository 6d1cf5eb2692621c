//! The recorded requests: `GET /requests`, newest first, and `GET /requests/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::problem::Problem;
use crate::store::{ReadError, StoredRecord};
use crate::telemetry::log_rate_limited;

/// The default `limit`.
const PAGE_RECORDS: u32 = 50;
/// The largest `limit`.
const PAGE_RECORDS_MAX: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    limit: Option<u32>,
    before: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Page {
    requests: Vec<StoredRecord>,
    /// `before` of the next page; null on the last page.
    next_before: Option<i64>,
}

pub(super) async fn list(
    State(admin): State<Arc<AdminState>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) =
        query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let limit = query.limit.unwrap_or(PAGE_RECORDS);
    if !(1..=PAGE_RECORDS_MAX).contains(&limit) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("limit={limit}: use a number from 1 to {PAGE_RECORDS_MAX}"),
        ));
    }
    let before = query.before.unwrap_or(i64::MAX);
    // One record more shows whether there is a next page.
    let mut records = admin.store.reader().page(before, limit + 1).await?;
    let has_next = records.len() > limit as usize;
    records.truncate(limit as usize);
    Ok(Json(Page {
        next_before: records.last().filter(|_| has_next).map(|record| record.id),
        requests: records,
    }))
}

pub(super) async fn get(
    State(admin): State<Arc<AdminState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<StoredRecord>, Problem> {
    // Extracted as text, so that an id that is no number is a 404 like one without a row.
    let found = match id.ok().and_then(|Path(id)| id.parse().ok()) {
        Some(id) => admin.store.reader().record(id).await?,
        None => None,
    };
    match found {
        Some(record) => Ok(Json(record)),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no request has this id",
        )),
    }
}

impl From<ReadError<rusqlite::Error>> for Problem {
    fn from(error: ReadError<rusqlite::Error>) -> Self {
        log_rate_limited("reading the records failed", &error);
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "reading the records failed: see the log",
        )
    }
}
