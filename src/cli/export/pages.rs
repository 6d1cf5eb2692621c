//! The records, page by page, from the database's file or from a replica.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Failure;
use crate::cli::records::{AdminClient, AdminError, Records};
use crate::query::{self, Cursor, Filter};
use crate::store::{ReadOnlyDatabase, StoredRecord};

/// Records in memory, and in one transaction.
const PAGE_RECORDS: usize = 2000;
/// The most that a replica gives.
const ADMIN_PAGE_RECORDS: usize = 1000;
/// For one transaction: a long one would keep the WAL from its reset.
const PAGE_TIME_MAX: Duration = Duration::from_millis(100);

/// One page.
pub(super) struct Page {
    pub records: Vec<StoredRecord>,
    /// No record up to this one is left.
    pub reached: i64,
}

pub(super) struct Pages {
    source: Records,
    filter: Filter,
    query: String,
    /// The oldest and the newest record at the beginning.
    ids: Option<(i64, i64)>,
    /// The next page begins after this record; none at the end.
    after: Option<i64>,
}

/// As `/api/requests` prints it.
#[derive(Deserialize)]
struct AdminPage {
    requests: Vec<StoredRecord>,
    next_after: Option<i64>,
}

impl Pages {
    /// The pages of all records after this id that there are now. `query` is the filter for a URL.
    pub fn begin(
        mut source: Records,
        filter: Filter,
        query: String,
        after: i64,
    ) -> Result<Self, Failure> {
        let ids = match &mut source {
            Records::File(database) => {
                let ids = database.ends()?;
                database.sync()?;
                ids
            }
            Records::Admin(runtime, client) => runtime.block_on(admin_ends(client))?,
        };
        Ok(Self {
            source,
            filter,
            query,
            ids,
            after: Some(after),
        })
    }

    /// The ids of the oldest and of the newest record.
    pub fn ids(&self) -> RangeInclusive<i64> {
        self.ids.map_or(0..=0, |(oldest, newest)| oldest..=newest)
    }

    /// The next page, which may have no records.
    pub fn next(&mut self) -> Result<Option<Page>, Failure> {
        let newest = *self.ids().end();
        let Some(after) = self.after.filter(|after| *after < newest) else {
            return Ok(None);
        };
        let (mut records, next) = match &mut self.source {
            Records::File(database) => file_page(database, &self.filter, after)?,
            Records::Admin(runtime, client) => {
                let page = runtime.block_on(admin_page(client, &self.query, after))?;
                (page.requests, page.next_after)
            }
        };
        // Later records belong to the next export.
        records.retain(|record| record.id <= newest);
        self.after = next;
        Ok(Some(Page {
            records,
            reached: next.unwrap_or(newest).min(newest),
        }))
    }
}

fn file_page(
    database: &ReadOnlyDatabase,
    filter: &Filter,
    after: i64,
) -> Result<(Vec<StoredRecord>, Option<i64>), Failure> {
    let deadline = Instant::now() + PAGE_TIME_MAX;
    let cursor = Cursor::After(after);
    let page = query::page(
        database.connection(),
        filter,
        cursor,
        PAGE_RECORDS,
        deadline,
    );
    let page = page.map_err(|error| database.error(error))?;
    Ok((page.records, page.next))
}

async fn admin_page(
    client: &mut AdminClient,
    query: &str,
    after: i64,
) -> Result<AdminPage, Failure> {
    let path = format!("/api/requests?after={after}&limit={ADMIN_PAGE_RECORDS}&{query}");
    client.json(&path).await.map_err(failed)
}

/// The oldest id is not asked for: the records may begin anywhere.
async fn admin_ends(client: &mut AdminClient) -> Result<Option<(i64, i64)>, Failure> {
    let id = |page: AdminPage| page.requests.first().map(|record| record.id);
    let newest: AdminPage = client.json("/api/requests?limit=1").await.map_err(failed)?;
    let oldest = client
        .json("/api/requests?after=0&limit=1")
        .await
        .map_err(failed)?;
    Ok(id(oldest).zip(id(newest)))
}

fn failed(error: AdminError) -> Failure {
    Failure::new(&error, error.is_retryable())
}
