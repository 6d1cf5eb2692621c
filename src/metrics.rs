//! The metrics that Prometheus reads, each declared once. Code gets the struct as an argument; only the log's counter of
//! lost lines is global, as the log is.

use std::collections::HashMap;
use std::sync::OnceLock;

use axum::http::StatusCode;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder, exponential_buckets,
};

use crate::closed::CloseReason;
use crate::rejected::Rejected;

/// Seconds, from 100 µs to 10 s.
const SECONDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Declares each metric once: `/// help`, then `name: Type = constructor;`. The name gets the prefix `daybook_`.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $name:ident: $kind:ty = $create:expr;)+) => {
        /// Every metric of the process. All have the label `replica`.
        pub struct Metrics {
            registry: Registry,
            /// `process_*`, which has no prefix.
            process: Registry,
            /// The application's, with the prefix `app_`.
            app: Registry,
            /// `requests_total` by status code, each looked up once: the registry's own look-up hashes and locks.
            requests_by_code: Vec<OnceLock<IntCounter>>,
            $($(#[doc = $help])+ pub $name: $kind,)+
        }

        impl Metrics {
            fn register(registry: Registry, process: Registry, app: Registry) -> prometheus::Result<Self> {
                Ok(Self {
                    requests_by_code: (0..600).map(|_| OnceLock::new()).collect(),
                    $($name: register(
                        &registry,
                        $create(Opts::new(stringify!($name), concat!($($help),+).trim()))?,
                    )?,)+
                    registry,
                    process,
                    app,
                })
            }
        }
    };
}

metrics! {
    /// Responses of the public listeners by status code, without health checks.
    requests_total: IntCounterVec = |opts| IntCounterVec::new(opts, &["code"]);
    /// Requests of routes behind unrecorded(), which leave no record.
    requests_unrecorded_total: IntCounter = IntCounter::with_opts;
    /// Time from a request's complete head to its response.
    request_duration_seconds: Histogram = seconds;
    /// Requests between their head and their response.
    requests_in_flight: IntGauge = IntGauge::with_opts;
    /// Memory of request heads that are incomplete or large.
    heads_bytes_in_flight: IntGauge = IntGauge::with_opts;
    /// Open connections of the public listeners.
    connections: IntGauge = IntGauge::with_opts;
    /// Connections that had to wait because http.connections_max were open.
    accept_waits_total: IntCounter = IntCounter::with_opts;
    /// Connections closed without a response, by reason.
    connections_closed_total: IntCounterVec = |opts| IntCounterVec::new(opts, &["reason"]);
    /// Committed records.
    records_committed_total: IntCounter = IntCounter::with_opts;
    /// Requests that got 503 because their record was not written, by reason.
    records_rejected_total: IntCounterVec = |opts| IntCounterVec::new(opts, &["reason"]);
    /// Records that wait for the writer.
    commit_queue_records: IntGauge = IntGauge::with_opts;
    /// Records in one transaction.
    commit_batch_records: Histogram = |opts| histogram(opts, exponential_buckets(1.0, 2.0, 14)?);
    /// Time from BEGIN IMMEDIATE to the end of COMMIT or, at database.synchronous = full, of the sync after it.
    commit_duration_seconds: Histogram = seconds;
    /// Time that the writer waited for the write lock and for foreign writers.
    write_lock_wait_seconds: Histogram = seconds;
    /// Time of one checkpoint, with its wait for the write lock if it takes it.
    checkpoint_duration_seconds: Histogram = seconds;
    /// Time of one read, with its wait for a connection.
    read_duration_seconds: Histogram = seconds;
    /// Reads that database.read_timeout ended.
    reads_interrupted_total: IntCounter = IntCounter::with_opts;
    /// Size of the write-ahead log.
    wal_bytes: Gauge = Gauge::with_opts;
    /// Size of the database file.
    database_bytes: Gauge = Gauge::with_opts;
    /// Free space in the database's file system for an unprivileged user.
    disk_free_bytes: Gauge = Gauge::with_opts;
    /// Records that retention has deleted.
    retention_deleted_records_total: IntCounter = IntCounter::with_opts;
    /// Unix time of the oldest record after this replica's last run of retention. The newest value over all replicas counts.
    retention_oldest_record_timestamp_seconds: GaugeVec = |opts| GaugeVec::new(opts, &[]);
    /// Unix time at which a job last succeeded, over all replicas.
    job_last_success_timestamp_seconds: GaugeVec = |opts| GaugeVec::new(opts, &["job"]);
    /// Unix time after which a job is overdue: two periods after its last success or, before its first, its declaration.
    job_overdue_timestamp_seconds: GaugeVec = |opts| GaugeVec::new(opts, &["job"]);
    /// Runs of a job that failed, panicked or were interrupted, found by this replica.
    job_failures_total: IntCounterVec = |opts| IntCounterVec::new(opts, &["job"]);
    /// 1 while this replica is ready.
    ready: IntGauge = IntGauge::with_opts;
    /// 0 if record = false: requests get responses and are not recorded.
    recording: IntGauge = IntGauge::with_opts;
    /// Always 1; the labels are the versions of daybook and of SQLite.
    build_info: IntGauge = |opts: Opts| IntGauge::with_opts(
        opts.const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("sqlite", rusqlite::version()),
    );
}

impl Metrics {
    /// Registers every metric with the label of this replica.
    ///
    /// # Errors
    /// None with the names above; the registry's own type.
    pub fn new(replica: &str) -> prometheus::Result<Self> {
        let labels: HashMap<_, _> = [("replica".to_owned(), replica.to_owned())].into();
        let registry = Registry::new_custom(Some("daybook".to_owned()), Some(labels.clone()))?;
        let process = Registry::new_custom(None, Some(labels.clone()))?;
        let app = Registry::new_custom(Some("app".to_owned()), Some(labels))?;
        process.register(Box::new(ProcessCollector::for_self()))?;
        registry.register(Box::new(crate::telemetry::lines_lost()))?;
        let metrics = Self::register(registry, process, app)?;
        metrics.build_info.set(1);
        // Every label is there from the start, at 0.
        for reason in Rejected::ALL {
            metrics.rejected(reason);
        }
        for reason in CloseReason::ALL {
            metrics.closed(reason);
        }
        // Prometheus does not see the increase with which a series begins, and an alert may need it.
        for code in ["500", "503"] {
            metrics.requests_total.with_label_values(&[code]);
        }
        Ok(metrics)
    }

    /// The registry of the application's own metrics.
    pub fn app(&self) -> &Registry {
        &self.app
    }

    /// Counts a response.
    pub fn count_request(&self, status: StatusCode) {
        let by_label = || self.requests_total.with_label_values(&[status.as_str()]);
        match self.requests_by_code.get(usize::from(status.as_u16())) {
            Some(counter) => counter.get_or_init(by_label).inc(),
            None => by_label().inc(),
        }
    }

    /// Counts a record that was not written.
    pub fn count_rejected(&self, reason: Rejected) {
        self.rejected(reason).inc();
    }

    /// Counts a connection closed without a response.
    pub fn count_closed(&self, reason: CloseReason) {
        self.closed(reason).inc();
    }

    /// Counted records that were not written, for any reason.
    pub fn rejected_total(&self) -> u64 {
        let counts = Rejected::ALL.map(|reason| self.rejected(reason).get());
        counts.into_iter().sum()
    }

    fn rejected(&self, reason: Rejected) -> IntCounter {
        self.records_rejected_total
            .with_label_values(&[reason.label()])
    }

    fn closed(&self, reason: CloseReason) -> IntCounter {
        self.connections_closed_total
            .with_label_values(&[reason.label()])
    }

    /// Every metric in Prometheus's text format, with `process_*` and the application's.
    ///
    /// # Errors
    /// The encoder's own.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        for registry in [&self.registry, &self.process, &self.app] {
            TextEncoder::new().encode(&registry.gather(), &mut text)?;
        }
        Ok(text)
    }
}

/// Counts a request as in flight until it is dropped.
pub struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    /// Counts one more request.
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

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn seconds(opts: Opts) -> prometheus::Result<Histogram> {
    histogram(opts, SECONDS.to_vec())
}

fn histogram(opts: Opts, buckets: Vec<f64>) -> prometheus::Result<Histogram> {
    Histogram::with_opts(HistogramOpts::from(opts).buckets(buckets))
}
