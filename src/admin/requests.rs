//! The recorded requests: `GET /requests`, newest first, and `GET /requests/{id}`. `/api/requests` has filters.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::problem::Problem;
use crate::query::{Cursor, Filter, LIMIT, LIMIT_MAX, page};
use crate::store::StoredRecord;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    limit: Option<usize>,
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
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("limit={limit}: use a number from 1 to {LIMIT_MAX}"),
        ));
    }
    let cursor = Cursor::Before(query.before.unwrap_or(i64::MAX));
    let deadline = admin.read_deadline();
    let page = admin
        .store
        .admin_reader()
        .read(move |connection| page(connection, &Filter::default(), cursor, limit, deadline))
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
