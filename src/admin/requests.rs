//! The recorded requests: `GET /requests`, newest first, and `GET /requests/{id}`. `/api/requests` has filters.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::problem::Problem;
use crate::query::{Cursor, Filter, page};
use crate::store::StoredRecord;

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
    let cursor = Cursor::Before(query.before.unwrap_or(i64::MAX));
    let reader = admin.store.admin_reader();
    let deadline = Instant::now() + reader.timeout();
    let page = reader
        .read(move |connection| {
            page(
                connection,
                &Filter::default(),
                cursor,
                limit as usize,
                deadline,
            )
        })
        .await?;
    Ok(Json(Page {
        requests: page.records,
        next_before: page.next,
    }))
}

pub(super) async fn get(
    State(admin): State<Arc<AdminState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<StoredRecord>, Problem> {
    find(&admin, id).await.map(Json)
}

/// The record with this id.
pub(super) async fn find(
    admin: &AdminState,
    id: Result<Path<String>, PathRejection>,
) -> Result<StoredRecord, Problem> {
    // Extracted as text, so that an id that is no number is a 404 like one without a row.
    let found = match id.ok().and_then(|Path(id)| id.parse().ok()) {
        Some(id) => admin.store.admin_reader().record(id).await?,
        None => None,
    };
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no request has this id"))
}
