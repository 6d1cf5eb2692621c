//! Thirty days of a server whose rate rises, in a file system of 64 MiB. Its clock runs fast: an hour is one run.

use std::future::{pending, ready};
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::disk::SmallDisk;
use crate::app::App;
use crate::config::{Config, load_from};
use crate::metrics::Metrics;
use crate::retention::run::Retention;
use crate::store::{Opened, Store};

const HOUR: f64 = 3600.0;
const START: f64 = 1_700_000_000.0;
const AGE_HOURS: i64 = 7 * 24;
const MIB: i64 = 1 << 20;
const DISK: i64 = 64 * MIB;
/// Half of it.
const BYTES_MAX: i64 = 32 * MIB;

fn config(directory: &Path) -> Config {
    let file = directory.join("daybook.toml");
    let toml = format!(
        "database = {{ path = {:?}, synchronous = \"normal\" }}
         retention = {{ age = \"{AGE_HOURS}h\", bytes_max = \"50%\", protect = \"1h\" }}",
        directory.join("requests.db")
    );
    std::fs::write(&file, toml).expect("a file");
    load_from(Some(&file), [], directory).expect("a valid configuration")
}

fn open(config: &Config, metrics: &Arc<Metrics>) -> Opened {
    let app = App::new("test", |_| Ok(axum::Router::new()));
    let schema = app.schema().expect("no migrations");
    Store::open(&config.database, &config.commit, &schema, metrics).expect("a database")
}

/// Another program's connection, which writes the records: their timestamps are the simulation's.
struct Records(Connection);

impl Records {
    /// Records of one hour. Every five hundredth has an odd timestamp.
    fn add(&self, hour: i64, rows: i64) {
        let sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?2)
            insert into requests (timestamp, method, path, content_length, remote_addr, status, duration_us)
            select case i % 1000 when 0 then 'odd' when 500 then 4e9 else ?1 + i * 3600.0 / ?2 end,
                'GET', '/some/path/' || i, 0, '10.1.2.3', 200, i from n";
        let added = self.0.execute(sql, (START + hour as f64 * HOUR, rows));
        assert_eq!(added, Ok(rows as usize), "the disk is never full");
    }

    fn number(&self, sql: &str) -> i64 {
        self.0.query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    fn table_bytes(&self) -> i64 {
        self.number("select sum(pgsize) from dbstat where name = 'requests'")
    }

    fn rows(&self) -> i64 {
        self.number("select count(*) from requests")
    }

    /// Records with a valid timestamp.
    fn valid_before(&self, time: f64) -> i64 {
        let sql =
            "select count(*) from requests where typeof(timestamp) = 'real' and timestamp < ?";
        self.0.query_row(sql, [time], |row| row.get(0)).expect(sql)
    }
}

#[tokio::test]
async fn thirty_days_in_a_small_file_system_stay_within_every_bound() {
    let disk = SmallDisk::mount(DISK as u64);
    let config = config(disk.path());
    let metrics = Arc::new(Metrics::new("test").expect("metrics"));
    let Opened { store, .. } = open(&config, &metrics);
    let retention = Retention {
        settings: config.retention.clone(),
        store: store.clone(),
        metrics: metrics.clone(),
    };
    let records = Records(Connection::open(&config.database.path).expect("the database"));
    let run = async |hour: i64| {
        let now = move || START + hour as f64 * HOUR;
        retention.run(now, pending()).await.expect("a run");
    };

    let mut added = 0;
    for hour in 0..30 * 24 {
        let rows = if hour < 12 * 24 { 250 } else { 4000 };
        records.add(hour, rows);
        added += rows;
        // The checks read the whole table.
        let is_checked = hour % 12 == 0;
        // The table is largest before a run.
        let bytes = if is_checked { records.table_bytes() } else { 0 };
        assert!(bytes <= BYTES_MAX, "hour {hour}: {bytes}");

        let end = hour + 1;
        run(end).await;
        if !is_checked {
            continue;
        }
        let left = records.rows();
        let deleted = metrics.retention_deleted_records_total.get() as i64;
        assert_eq!(left + deleted, added, "hour {hour}");
        let is_old = START + (end - AGE_HOURS) as f64 * HOUR;
        assert_eq!(records.valid_before(is_old), 0, "hour {hour}");
        if hour < 12 * 24 {
            let young = rows * end.min(AGE_HOURS);
            assert_eq!(left, young, "hour {hour}: nothing younger is deleted");
        } else if hour > 22 * 24 {
            let bytes = records.table_bytes();
            assert!(
                bytes > BYTES_MAX * 9 / 10,
                "hour {hour}: no more than needed: {bytes}"
            );
        }
    }
    // The space of deleted records is used again.
    let file_bytes =
        records.number("select page_count * page_size from pragma_page_count, pragma_page_size");
    assert!(file_bytes < BYTES_MAX + MIB, "{file_bytes}");
    assert!(records.rows() < 4000 * AGE_HOURS, "the size has decided");
    let oldest = &metrics.retention_oldest_record_timestamp_seconds;
    let oldest = oldest.with_label_values::<&str>(&[]).get();
    assert!(
        oldest > START + (30 * 24 - AGE_HOURS) as f64 * HOUR,
        "{oldest}"
    );

    // A stop ends a run after one step.
    let before = records.rows();
    let now = || START + 60.0 * 24.0 * HOUR;
    retention
        .run(now, ready(()))
        .await
        .expect("a run that stops");
    let deleted = before - records.rows();
    assert!((1..=2000).contains(&deleted), "{deleted}");

    run(60 * 24).await;
    let odd = records.rows();
    assert!(odd < 3, "only odd rows, after the last valid one: {odd}");
    let sequence = records.number("select seq from sqlite_sequence");
    assert_eq!(sequence, added, "ids never recur");
    store.stop();
}
