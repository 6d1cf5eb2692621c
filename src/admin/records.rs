//! The recorded requests with filters: `GET /api/requests` and `GET /api/requests/{id}`; and figures: `GET /api/stats`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::AdminState;
use super::parameters::{borrowed, none, pairs};
use super::problem::Problem;
use super::requests::find;
use crate::query::{Cursor, ListQuery, Stats, StatsQuery, Time, page, stats};
use crate::store::StoredRecord;

/// A page of requests, newest first; with `after` oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct RequestPage {
    requests: Vec<StoredRecord>,
    /// How many a page can have: what was asked for, or 1000 if that is less.
    limit: usize,
    /// The value of `before` for the next page. Null: there are no further requests.
    next_before: Option<i64>,
    /// The value of `after` for the next page, if this one was asked for with `after`. Null: there are no further requests.
    next_after: Option<i64>,
    /// False: `database.read_timeout` was over before the page was full. It may even be empty, and the next one not.
    complete: bool,
}

pub(super) async fn list(
    State(admin): State<Arc<AdminState>>,
    RawQuery(query): RawQuery,
) -> Result<Json<RequestPage>, Problem> {
    let query = ListQuery::parse(borrowed(&pairs(query.as_deref())?), Time::now())?;
    let limit = query.limit;
    let deadline = admin.read_deadline();
    let cursor = query.cursor;
    let read = move |connection: &rusqlite::Connection| {
        page(connection, &query.filter, cursor, query.limit, deadline)
    };
    let page = admin.store.admin_reader().read(read).await?;
    let (next_before, next_after) = match cursor {
        Cursor::Before(_) => (page.next, None),
        Cursor::After(_) => (None, page.next),
    };
    Ok(Json(RequestPage {
        requests: page.records,
        limit,
        next_before,
        next_after,
        complete: page.is_complete,
    }))
}

pub(super) async fn get(
    State(admin): State<Arc<AdminState>>,
    RawQuery(query): RawQuery,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<StoredRecord>, Problem> {
    none(query.as_deref())?;
    find(&admin, id).await.map(Json)
}

pub(super) async fn get_stats(
    State(admin): State<Arc<AdminState>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Stats>, Problem> {
    let query = StatsQuery::parse(borrowed(&pairs(query.as_deref())?), Time::now())?;
    let deadline = admin.read_deadline();
    let read = move |connection: &rusqlite::Connection| stats(connection, &query, deadline);
    Ok(Json(admin.store.admin_reader().read(read).await?))
}
