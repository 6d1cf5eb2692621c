use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::query::page::{Cursor, page};
use crate::query::test_database::{database, filter};
use crate::store::StoredRecord;

/// In Unix seconds: the beginning of a day.
const DAY: f64 = 20_000.0 * 86_400.0;

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn query(parameters: &[(&str, &str)]) -> StatsQuery {
    let now = Time::from_seconds(DAY + 3605.0).expect("a time");
    StatsQuery::parse(parameters.iter().copied(), now).expect("parameters")
}

fn insert(
    connection: &Connection,
    timestamp: f64,
    path: &str,
    status: Option<i64>,
    duration_us: Option<i64>,
) {
    let sql = "insert into requests (timestamp, method, path, content_length, remote_addr, status, duration_us) values (?, 'GET', ?, 3, null, ?, ?)";
    connection
        .execute(sql, (timestamp, path, status, duration_us))
        .expect("a row");
}

#[test]
fn the_times_are_widened_to_whole_buckets() {
    for (parameters, since, until) in [
        (vec![], DAY + 60.0, DAY + 3660.0),
        (vec![("bucket", "10s")], DAY + 3010.0, DAY + 3610.0),
        (vec![("bucket", "5m")], DAY - 17_700.0, DAY + 3900.0),
        (vec![("bucket", "1h")], DAY - 79_200.0, DAY + 7200.0),
        (
            vec![("bucket", "1d")],
            DAY - 29.0 * 86_400.0,
            DAY + 86_400.0,
        ),
        (
            vec![
                ("bucket", "1h"),
                ("until", "1728001000"),
                ("since", "1727999999.5"),
            ],
            DAY - 3600.0,
            DAY + 3600.0,
        ),
        (
            vec![
                ("bucket", "1d"),
                ("since", "2024-10-02T23:59:59Z"),
                ("until", "2024-10-04T00:00:00Z"),
            ],
            DAY - 3.0 * 86_400.0 + 86_400.0,
            DAY,
        ),
    ] {
        let query = query(&parameters);
        let times = (query.since.seconds(), query.until.seconds());
        assert_eq!(times, (since, until), "{parameters:?}");
    }
}

#[test]
fn the_latest_of_too_many_buckets_are_left() {
    let figures = stats(&database(), &query(&[("since", "40d")]), later()).expect("figures");
    assert_eq!((figures.buckets.len(), figures.complete), (1500, false));
    assert_eq!(figures.until.steps_since(figures.since, 60), 1500);
    assert_eq!(figures.since, figures.buckets[0].start);
}

#[test]
fn a_wrong_parameter_is_named() {
    for (parameters, name, right) in [
        (&[("bucket", "2m")][..], "bucket", "5m"),
        (&[("bucket", "1m"), ("bucket", "1m")], "bucket", "twice"),
        (&[("top", "-1")], "top", "number"),
        (&[("limit", "1")], "limit", "bucket, top, since"),
        (&[("status", "x")], "status", "5xx"),
    ] {
        let error = StatsQuery::parse(parameters.iter().copied(), Time::now()).expect_err(name);
        assert_eq!(error.parameter, name);
        assert!(error.to_string().contains(right), "{error}");
    }
}

#[test]
fn a_database_of_an_older_version_has_the_same_figures_from_its_rows() {
    let connection = database();
    for second in 0..100 {
        insert(&connection, DAY + f64::from(second), "/", Some(200), None);
    }
    let figures = |connection: &Connection| {
        stats(connection, &query(&[("since", "1728000000")]), later()).expect("figures")
    };
    let expected = figures(&connection);
    let sql = "drop table daybook_minutes; drop table daybook_minutes_progress";
    connection.execute_batch(sql).expect("an older version");
    assert_eq!(figures(&connection), expected);
    assert_eq!(expected.total.requests, 100);
}

#[test]
fn the_end_before_the_beginning_is_nothing() {
    let figures = stats(
        &database(),
        &query(&[("since", "1h"), ("until", "2h")]),
        later(),
    )
    .expect("figures");
    assert_eq!(
        (
            figures.buckets.len(),
            figures.total.requests,
            figures.complete
        ),
        (0, 0, true)
    );
}

#[test]
fn the_most_frequent_values_come_first_and_say_of_how_many_requests() {
    let connection = database();
    for (path, times) in [("/a", 3), ("/b", 5), ("/c", 1)] {
        for _ in 0..times {
            insert(&connection, DAY + 3000.0, path, Some(200), None);
        }
    }
    let figures = |parameters: &[(&str, &str)]| {
        stats(&connection, &query(parameters), later())
            .expect("figures")
            .top
    };
    let value = |value: Option<&str>, requests| TopValue {
        value: value.map(str::to_owned),
        requests,
    };
    // With a filter or without.
    for parameters in [&[("top", "2")][..], &[("top", "2"), ("method", "GET")]] {
        let top = figures(parameters);
        assert_eq!(top.paths, [value(Some("/b"), 5), value(Some("/a"), 3)]);
        assert_eq!(top.methods, [value(Some("GET"), 9)]);
        assert_eq!(top.remote_addrs, [value(None, 9)]);
        assert_eq!((top.requests, top.sampled), (9, false));
    }
    assert_eq!(
        figures(&[("path_prefix", "/a")]).paths,
        [value(Some("/a"), 3)]
    );
    assert_eq!(figures(&[("top", "0")]), Tops::default());
}

#[test]
fn of_many_rows_the_most_frequent_values_are_a_sample() {
    let connection = database();
    // A quarter of the last hour's rows has one path, and then all have another one.
    let sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000)
        insert into requests (timestamp, method, path, content_length) select ? + i * 0.01, 'GET', '/' || (i > 79500), 0 from n";
    connection.execute(sql, [DAY]).expect("rows");
    let top = stats(&connection, &query(&[]), later())
        .expect("figures")
        .top;
    assert!(
        top.sampled && (150_000..=200_000).contains(&top.requests),
        "{top:?}"
    );
    let shares: Vec<f64> = (top.paths.iter())
        .map(|path| path.requests as f64 / top.requests as f64)
        .collect();
    assert!(
        (shares[0] - 0.75).abs() < 0.01 && (shares[1] - 0.25).abs() < 0.01,
        "{shares:?}"
    );
    // With a filter they are the newest.
    let top = stats(&connection, &query(&[("method", "GET")]), later())
        .expect("figures")
        .top;
    assert!(top.sampled && top.requests == 200_000, "{top:?}");
}

#[test]
fn buckets_without_time_to_count_them_are_left_out() {
    let connection = database();
    let sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 36000)
        insert into requests (timestamp, method, path, content_length) select ? + i * 0.1, 'GET', '/', 0 from n";
    connection.execute(sql, [DAY]).expect("rows");
    let some_time = || {
        let mut calls = 0;
        // As the read pool: it stops a long statement, and leaves short ones alone.
        move || {
            calls += 1;
            calls > 50
        }
    };
    for (parameters, is_interrupted) in [
        (&[("since", "1728000000")][..], false),
        (&[("since", "1728000000"), ("q", "/")], false),
        (&[("since", "1728000000")], true),
        (&[("since", "1728000000"), ("q", "/")], true),
    ] {
        let all = stats(&connection, &query(parameters), later()).expect("figures");
        let mut deadline = Instant::now();
        if is_interrupted {
            deadline = later();
            let handler = connection.progress_handler(2_000, Some(some_time()));
            handler.expect("a handler");
        }
        let some = stats(&connection, &query(parameters), deadline).expect("figures");
        let none = connection.progress_handler(0, None::<fn() -> bool>);
        none.expect("no handler");
        assert!(all.complete && !some.complete);
        assert!(
            (1..all.buckets.len()).contains(&some.buckets.len()),
            "{}",
            some.buckets.len()
        );
        assert!(all.buckets.ends_with(&some.buckets));
        assert_eq!(some.since, some.buckets[0].start);
        let counted: u64 = some
            .buckets
            .iter()
            .map(|bucket| bucket.figures.requests)
            .sum();
        assert_eq!(some.total.requests, counted);
        assert!(some.top.sampled);
    }
}

/// The figures as anybody would compute them from a page with all records.
fn naive(
    records: &[StoredRecord],
    query: &StatsQuery,
) -> BTreeMap<i64, (u64, u64, [u64; 6], Vec<i64>)> {
    let mut buckets = BTreeMap::new();
    let step = query.bucket.seconds();
    for record in records {
        let second = record.timestamp.expect("a time").floor() as i64;
        let bucket = buckets.entry(second.div_euclid(step) * step);
        let (requests, bytes, statuses, durations) = bucket.or_insert((0, 0, [0; 6], Vec::new()));
        *requests += 1;
        *bytes += record.content_length as u64;
        let class = record.status.map_or(0, |status| status / 100);
        statuses[if class < 6 { class as usize } else { 0 }] += 1;
        durations.extend(record.duration_us);
    }
    buckets
}

proptest! {
    #[test]
    fn figures_are_those_of_a_naive_count(
        rows in prop::collection::vec((0.0..7000.0, prop::option::of(100i64..700), prop::option::of(0i64..10_000_000)), 0..150),
        bucket in prop::sample::select(&Bucket::ALL[..]),
        status in prop::option::of(prop::sample::select(&["2xx", "none"][..])),
    ) {
        let connection = database();
        let mut rows = rows;
        rows.sort_by(|a: &(f64, _, _), b| a.0.total_cmp(&b.0));
        for (seconds, status, duration) in rows {
            insert(&connection, DAY + seconds, "/", status, duration);
        }
        let mut parameters = vec![("bucket", bucket.name()), ("since", "1728000000"), ("until", "1728007000")];
        if let Some(status) = status {
            parameters.push(("status", status));
        }
        let query = query(&parameters);
        let figures = stats(&connection, &query, later()).expect("figures");
        let wanted: Vec<_> = parameters[1..].to_vec();
        let records = page(&connection, &filter(&wanted), Cursor::Before(i64::MAX), 1000, later()).expect("all").records;
        let mut naive = naive(&records, &query);
        prop_assert_eq!(figures.total.requests, records.len() as u64);
        prop_assert!(figures.complete);
        for bucket in figures.buckets {
            let start = bucket.start.seconds() as i64;
            let (requests, bytes, [none, s1, s2, s3, s4, s5], mut durations) = naive.remove(&start).unwrap_or_default();
            let found = bucket.figures;
            prop_assert_eq!((found.requests, found.bytes), (requests, bytes));
            let StatusCounts { informational, successful, redirected, client_error, server_error, none: no_status } = found.status;
            prop_assert_eq!(
                [no_status, informational, successful, redirected, client_error, server_error],
                [none, s1, s2, s3, s4, s5]
            );
            durations.sort_unstable();
            prop_assert_eq!(found.duration_us.is_some(), !durations.is_empty());
            if let Some(quantiles) = found.duration_us {
                let exact = durations[(durations.len() as f64 * 0.9).ceil() as usize - 1] as u64;
                prop_assert!(quantiles.p90.abs_diff(exact) <= 1 + exact / 4, "{:?} {}", quantiles, exact);
            }
        }
        prop_assert!(naive.is_empty(), "{naive:?}");
    }
}
