//! `GET /api/state`: how this replica is, for the console.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use prometheus::Histogram;
use serde::Serialize;
use utoipa::ToSchema;

use super::AdminState;
use super::parameters::none;
use super::problem::Problem;
use crate::jobs::{self, JobState, unix_now};
use crate::query::Time;
use crate::retention::oldest_timestamp;

/// How this replica is. A total counts from the start of the process.
#[derive(Serialize, ToSchema)]
pub(super) struct ReplicaState {
    /// The application's name.
    #[schema(value_type = String)]
    application: &'static str,
    replica: String,
    #[schema(value_type = String)]
    version: &'static str,
    /// The time of this response.
    #[schema(value_type = String, format = DateTime)]
    time: Time,
    /// Whether it should get requests.
    ready: bool,
    /// Why it is not ready.
    reason: Option<String>,
    /// False: `record = false`, and requests leave no record.
    recording: bool,
    requests: RequestCounts,
    queue: Queue,
    commits: Commits,
    /// The writer's waits for the lock that all replicas share.
    lock_wait: Times,
    database: DatabaseSizes,
    disk: Disk,
    /// The jobs of all replicas.
    jobs: Vec<JobState>,
    /// Not known yet.
    #[schema(value_type = Option<Object>)]
    backup: Option<()>,
    /// Not known yet.
    #[schema(value_type = Option<Object>)]
    restore: Option<()>,
    retention: Retention,
}

/// Requests of the public listeners.
#[derive(Serialize, ToSchema)]
struct RequestCounts {
    in_flight: u64,
    /// 503 because no record could be written.
    rejected_total: u64,
}

/// Records that wait for the writer.
#[derive(Serialize, ToSchema)]
struct Queue {
    records: usize,
    /// `commit.queue_records_max`.
    records_max: usize,
}

#[derive(Serialize, ToSchema)]
struct Commits {
    records_total: u64,
    /// The commits.
    #[serde(flatten)]
    times: Times,
}

/// How often, and for how long together.
#[derive(Serialize, ToSchema)]
struct Times {
    total: u64,
    seconds_total: f64,
}

#[derive(Serialize, ToSchema)]
struct DatabaseSizes {
    bytes: u64,
    /// The write-ahead log.
    wal_bytes: u64,
}

/// The database's file system.
#[derive(Serialize, ToSchema)]
struct Disk {
    /// For an unprivileged user.
    free_bytes: u64,
    total_bytes: u64,
}

#[derive(Serialize, ToSchema)]
struct Retention {
    /// When the oldest request that is still recorded arrived.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest: Option<Time>,
}

pub(super) async fn get(
    State(admin): State<Arc<AdminState>>,
    RawQuery(query): RawQuery,
) -> Result<Json<ReplicaState>, Problem> {
    none(query.as_deref())?;
    let (jobs, oldest) = admin
        .store
        .admin_reader()
        .read(|connection| {
            let oldest = oldest_timestamp(connection, unix_now())?;
            Ok((jobs::states(connection)?, oldest))
        })
        .await?;
    let metrics = &admin.metrics;
    let ready = admin.readiness.check();
    let sizes = admin.store.sizes();
    Ok(Json(ReplicaState {
        application: admin.application,
        replica: admin.config.replica.clone(),
        version: env!("CARGO_PKG_VERSION"),
        time: Time::now(),
        ready: ready.is_ok(),
        reason: ready.err().map(|reason| reason.to_string()),
        recording: admin.config.record,
        requests: RequestCounts {
            in_flight: u64::try_from(metrics.requests_in_flight.get()).unwrap_or(0),
            rejected_total: metrics.rejected_total(),
        },
        queue: Queue {
            records: admin.store.queue_records(),
            records_max: admin.config.commit.queue_records_max.get(),
        },
        commits: Commits {
            records_total: metrics.records_committed_total.get(),
            times: (&metrics.commit_duration_seconds).into(),
        },
        lock_wait: (&metrics.write_lock_wait_seconds).into(),
        database: DatabaseSizes {
            bytes: sizes.database_bytes,
            wal_bytes: sizes.wal_bytes,
        },
        disk: Disk {
            free_bytes: sizes.disk_free_bytes,
            total_bytes: admin.store.disk_bytes().unwrap_or(0),
        },
        jobs,
        backup: None,
        restore: None,
        retention: Retention {
            oldest: oldest.and_then(Time::from_seconds),
        },
    }))
}

impl From<&Histogram> for Times {
    fn from(histogram: &Histogram) -> Self {
        Self {
            total: histogram.get_sample_count(),
            seconds_total: histogram.get_sample_sum(),
        }
    }
}
