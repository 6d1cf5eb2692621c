//! `/api/stats`.

use std::collections::BTreeMap;

use super::records::{DAY, NewRow, get, insert, insert_many};
use crate::common::server::Server;
use serde_json::{Value, json};

/// `GET /api/stats` of one day.
fn stats(server: &Server, query: &str) -> Value {
    get(
        server,
        &format!("/api/stats?since=1728000000&until=1728086400&{query}"),
    )
}

/// The buckets that are not empty, by their beginning.
fn requests(stats: &Value) -> BTreeMap<&str, u64> {
    let buckets = stats["buckets"].as_array().expect("buckets");
    let mut counts = BTreeMap::new();
    for bucket in buckets {
        let start = bucket["start"].as_str().expect("a time");
        counts.insert(start, bucket["requests"].as_u64().expect("a number"));
    }
    counts.retain(|_, count| *count > 0);
    counts
}

#[test]
fn a_bucket_has_requests_bytes_statuses_and_durations() {
    let server = Server::start();
    let db = server.db();
    for (seconds, status) in [
        (0.0, Some(200)),
        (59.9, Some(503)),
        (61.0, None),
        (62.0, Some(404)),
    ] {
        insert(
            &db,
            NewRow {
                timestamp: DAY + seconds,
                status,
                ..NewRow::default()
            },
        );
    }
    let stats = stats(&server, "bucket=1m");
    let minutes = stats["buckets"].as_array().expect("buckets");
    assert_eq!(minutes.len(), 24 * 60);
    let statuses = |client_error, server_error, successful, none| json!({"1xx": 0, "2xx": successful, "3xx": 0, "4xx": client_error, "5xx": server_error, "none": none});
    assert_eq!(minutes[0]["start"], "2024-10-04T00:00:00.000000Z");
    assert_eq!(
        (&minutes[0]["requests"], &minutes[0]["bytes"]),
        (&2.into(), &14.into())
    );
    assert_eq!(minutes[0]["status"], statuses(0, 1, 1, 0));
    assert_eq!(minutes[1]["status"], statuses(1, 0, 0, 1));
    assert_eq!(minutes[2]["duration_us"], Value::Null);
    for quantile in ["p50", "p90", "p99"] {
        let micros = minutes[0]["duration_us"][quantile]
            .as_u64()
            .expect("a number");
        assert!(
            (1300..=1700).contains(&micros),
            "{micros} is not about 1500"
        );
    }
    assert_eq!(
        (&stats["total"]["requests"], &stats["complete"]),
        (&4.into(), &true.into())
    );
    assert_eq!(
        stats["top"]["paths"],
        json!([{"value": "/", "requests": 4}])
    );
    assert_eq!(stats["top"]["sampled"], false);
}

#[test]
fn every_bucket_and_filter_counts_as_the_list_does() {
    let server = Server::start();
    insert_many(&server.db(), 900, DAY + 3_000.0);
    let hour = |hour: u32| format!("2024-10-04T{hour:02}:00:00.000000Z");
    let expected: BTreeMap<String, u64> = [(hour(0), 600), (hour(1), 300)].into();
    let expected = expected
        .iter()
        .map(|(start, count)| (start.as_str(), *count))
        .collect();
    assert_eq!(requests(&stats(&server, "bucket=1h")), expected);
    assert_eq!(requests(&stats(&server, "bucket=1h&method=GET")), expected);
    assert_eq!(
        requests(&stats(&server, "bucket=1d")).values().sum::<u64>(),
        900
    );
    assert_eq!(
        requests(&stats(&server, "bucket=5m")).values().max(),
        Some(&300)
    );
    assert_eq!(
        requests(&stats(&server, "bucket=1m&path_prefix=/10"))
            .values()
            .sum::<u64>(),
        11
    );
    assert_eq!(requests(&stats(&server, "bucket=1m&status=5xx")).len(), 0);
    let ten = get(
        &server,
        "/api/stats?bucket=10s&since=1728003000&until=1728003095",
    );
    assert_eq!(
        requests(&ten).values().copied().collect::<Vec<_>>(),
        [10; 10]
    );
    assert_eq!(ten["until"], "2024-10-04T00:51:40.000000Z");
}

#[test]
fn a_request_counts_as_soon_as_it_has_its_response() {
    let server = Server::start();
    for n in 1..4 {
        server.get("/now");
        for bucket in ["10s", "1m", "5m", "1h", "1d"] {
            let stats = get(&server, &format!("/api/stats?bucket={bucket}"));
            assert_eq!(stats["total"]["requests"], n, "{bucket}: {stats}");
        }
    }
}
