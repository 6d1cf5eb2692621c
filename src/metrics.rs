//! What Prometheus reads: one struct, one registry, no globals.

use std::collections::HashMap;
use std::sync::OnceLock;

use axum::http::StatusCode;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::http::guard::CloseReason;
use crate::store::Rejected;

/// Seconds; they resolve 100 µs to 10 s.
const SECONDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Every metric of the process. All carry the label `replica`.
pub struct Metrics {
    registry: Registry,
    /// `process_*`, which has no prefix.
    process: Registry,
    requests: IntCounterVec,
    /// `requests` by status code, looked up once each: the registry's own look-up hashes and locks.
    requests_by_code: Vec<OnceLock<IntCounter>>,
    rejected: IntCounterVec,
    closed: IntCounterVec,
    /// From a request's whole head to its answer.
    pub request_duration_seconds: Histogram,
    /// Requests between head and answer.
    pub requests_in_flight: IntGauge,
    /// Memory of heads that are incomplete or large; set when read.
    pub heads_bytes_in_flight: IntGauge,
    /// Open connections of the public listeners.
    pub connections: IntGauge,
    /// How many connections had to wait because `http.connections_max` were open.
    pub accept_waits_total: IntCounter,
    /// Records on disk.
    pub records_committed_total: IntCounter,
    /// Records waiting for the writer; set when read.
    pub commit_queue_records: IntGauge,
    /// Records in one transaction.
    pub commit_batch_records: Histogram,
    /// From `BEGIN IMMEDIATE` to the end of `COMMIT`, or, at `full`, of the sync after it.
    pub commit_duration_seconds: Histogram,
    /// How long the writer waited for the write lock and for foreign writers.
    pub write_lock_wait_seconds: Histogram,
    /// One checkpoint, with the wait for the write lock if it takes it.
    pub checkpoint_duration_seconds: Histogram,
    /// Size of the write-ahead log; set when read.
    pub wal_bytes: Gauge,
    /// Size of the database's file; set when read.
    pub database_bytes: Gauge,
    /// What an ordinary user may still write to the database's file system; set when read.
    pub disk_free_bytes: Gauge,
    /// 1 while the replica is ready; set when read.
    pub ready: IntGauge,
    /// 0 when `record = false`.
    pub recording: IntGauge,
}

impl Metrics {
    /// Registers everything under the name of this replica.
    ///
    /// # Errors
    /// None with the names below; the registry's own type.
    pub fn new(replica: &str) -> prometheus::Result<Self> {
        let labels: HashMap<_, _> = [("replica".to_owned(), replica.to_owned())].into();
        let registry = Registry::new_custom(Some("daybook".to_owned()), Some(labels.clone()))?;
        let process = Registry::new_custom(None, Some(labels))?;
        process.register(Box::new(ProcessCollector::for_self()))?;
        let requests = IntCounterVec::new(
            Opts::new(
                "requests_total",
                "Answers of the public listeners but for health checks, by status code.",
            ),
            &["code"],
        )?;
        let rejected = IntCounterVec::new(
            Opts::new(
                "records_rejected_total",
                "Records that were not written and answered 503.",
            ),
            &["reason"],
        )?;
        let closed = IntCounterVec::new(
            Opts::new(
                "connections_closed_total",
                "Connections closed without a response, by reason.",
            ),
            &["reason"],
        )?;
        for collector in [&requests, &rejected, &closed] {
            registry.register(Box::new(collector.clone()))?;
        }
        for reason in Rejected::ALL {
            rejected.with_label_values(&[reason.label()]);
        }
        for reason in CloseReason::ALL {
            closed.with_label_values(&[reason.label()]);
        }
        let build_info = IntGauge::with_opts(
            Opts::new("build_info", "1; what is running, in the labels.")
                .const_label("version", env!("CARGO_PKG_VERSION"))
                .const_label("sqlite", rusqlite::version()),
        )?;
        build_info.set(1);
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(crate::telemetry::lines_lost()))?;

        let seconds = |name: &str, help: &str| histogram(&registry, name, help, SECONDS.to_vec());
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help)?);
        let bytes = |name: &str, help: &str| register(&registry, Gauge::new(name, help)?);
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help)?);
        let metrics = Self {
            requests_by_code: (0..600).map(|_| OnceLock::new()).collect(),
            requests,
            rejected,
            closed,
            request_duration_seconds: seconds(
                "request_duration_seconds",
                "From a request's whole head to its answer.",
            )?,
            requests_in_flight: gauge("requests_in_flight", "Requests between head and answer.")?,
            heads_bytes_in_flight: gauge(
                "heads_bytes_in_flight",
                "Memory of request heads that are incomplete or large.",
            )?,
            connections: gauge("connections", "Open connections of the public listeners.")?,
            accept_waits_total: counter(
                "accept_waits_total",
                "How many connections had to wait because http.connections_max were open.",
            )?,
            records_committed_total: counter("records_committed_total", "Records on disk.")?,
            commit_queue_records: gauge("commit_queue_records", "Records waiting for the writer.")?,
            commit_batch_records: histogram(
                &registry,
                "commit_batch_records",
                "Records in one transaction.",
                prometheus::exponential_buckets(1.0, 2.0, 14)?,
            )?,
            commit_duration_seconds: seconds(
                "commit_duration_seconds",
                "From BEGIN IMMEDIATE to the end of COMMIT, or, at synchronous = full, of the sync after it.",
            )?,
            write_lock_wait_seconds: seconds(
                "write_lock_wait_seconds",
                "The writer's wait for the write lock and for foreign writers.",
            )?,
            checkpoint_duration_seconds: seconds(
                "checkpoint_duration_seconds",
                "One checkpoint, with the wait for the write lock if it takes it.",
            )?,
            wal_bytes: bytes("wal_bytes", "Size of the write-ahead log.")?,
            database_bytes: bytes("database_bytes", "Size of the database's file.")?,
            disk_free_bytes: bytes(
                "disk_free_bytes",
                "Free bytes of the database's file system.",
            )?,
            ready: gauge("ready", "1 while this replica is ready.")?,
            recording: gauge(
                "recording",
                "0 when requests are answered without being recorded (record = false).",
            )?,
            registry,
            process,
        };
        Ok(metrics)
    }

    /// Counts an answer.
    pub fn count_request(&self, status: StatusCode) {
        let code = status.as_u16();
        match self.requests_by_code.get(usize::from(code)) {
            Some(counter) => counter
                .get_or_init(|| self.requests.with_label_values(&[status.as_str()]))
                .inc(),
            None => self.requests.with_label_values(&[status.as_str()]).inc(),
        }
    }

    /// Counts a record that was not written.
    pub fn count_rejected(&self, reason: Rejected) {
        self.rejected.with_label_values(&[reason.label()]).inc();
    }

    /// Counts a connection closed without an answer.
    pub fn count_closed(&self, reason: CloseReason) {
        self.closed.with_label_values(&[reason.label()]).inc();
    }

    /// Everything as Prometheus text, `process_*` included.
    ///
    /// # Errors
    /// The encoder's own.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        for registry in [&self.registry, &self.process] {
            TextEncoder::new().encode(&registry.gather(), &mut text)?;
        }
        Ok(text)
    }
}

/// Counts a request while it lives.
pub struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    /// The count goes down when the result is dropped.
    pub fn enter(metrics: &'a Metrics) -> Self {
        metrics.requests_in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.requests_in_flight.dec();
    }
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: Vec<f64>,
) -> prometheus::Result<Histogram> {
    register(
        registry,
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?,
    )
}
