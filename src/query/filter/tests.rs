use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::*;
use crate::query::test_database::{database, filter};
use crate::store::select_sql;

fn record() -> StoredRecord {
    StoredRecord {
        id: 1,
        timestamp: Some(1_700_000_000.25),
        method: "GET".to_owned(),
        path: "/files/a%20b".to_owned(),
        content_length: 0,
        remote_addr: Some("192.0.2.7".to_owned()),
        status: Some(503),
        duration_us: None,
    }
}

#[test]
fn each_parameter_decides() {
    for (name, wanted, unwanted) in [
        ("since", "1700000000.25", "1700000000.250001"),
        ("until", "1700000000.250001", "1700000000.25"),
        ("method", "GET", "get"),
        ("path_prefix", "/files/a%20", "/files/a "),
        ("path_prefix", "/", "/%66iles"),
        ("status", "503", "500"),
        ("status", "5xx", "4xx"),
        ("status", "5xx", "none"),
        ("remote_addr", "192.0.2.7", "192.0.2.70"),
        ("remote_addr", "192.0.2.0/29", "192.0.2.8/29"),
        ("remote_addr", "::ffff:192.0.2.7", "2001:db8::/32"),
        ("remote_addr", "0.0.0.0/0", "::/0"),
        ("q", "es/a", "ES/A"),
    ] {
        assert!(
            filter(&[(name, wanted)]).matches(&record()),
            "{name}={wanted}"
        );
        assert!(
            !filter(&[(name, unwanted)]).matches(&record()),
            "{name}={unwanted}"
        );
    }
}

#[test]
fn a_repeated_parameter_takes_any_value_and_different_ones_take_all() {
    let any = [
        ("method", "PUT"),
        ("method", "GET"),
        ("status", "none"),
        ("status", "503"),
    ];
    assert!(filter(&any).matches(&record()));
    let all = [("method", "GET"), ("status", "503"), ("q", "missing")];
    assert!(!filter(&all).matches(&record()));
}

#[test]
fn a_record_without_a_value_matches_no_filter_on_it_but_none() {
    let empty = StoredRecord {
        timestamp: None,
        remote_addr: None,
        status: None,
        ..record()
    };
    for (name, value) in [
        ("since", "0"),
        ("until", "4000000000"),
        ("remote_addr", "0.0.0.0/0"),
        ("status", "5xx"),
    ] {
        assert!(!filter(&[(name, value)]).matches(&empty), "{name}={value}");
    }
    assert!(filter(&[("status", "none")]).matches(&empty));
    assert!(filter(&[]).matches(&empty));
}

#[test]
fn a_mistake_names_the_parameter() {
    for (name, value, right) in [
        ("since", "yesterday", "15m"),
        ("until", "2030-01-01T00:00:00 01:00", "%2B"),
        ("method", "", "GET"),
        ("method", "G T", "GET"),
        ("path_prefix", "", "/files/"),
        ("status", "6", "5xx"),
        ("remote_addr", "localhost", "192.0.2.1"),
        ("remote_addr", "10.0.0.0/33", "192.0.2.1"),
        ("q", "", "a part"),
    ] {
        let error = Filter::parse([(name, value)], Time::now()).expect_err(value);
        assert_eq!(error.parameter, name);
        let message = error.to_string();
        let begins = format!("{name}={value}: ");
        assert!(
            message.starts_with(&begins) && message.contains(right),
            "{message}"
        );
    }
    let error = Filter::parse([("limit", "1")], Time::now()).expect_err("not a filter's");
    assert_eq!(error, unknown("limit", &Filter::PARAMETERS));
}

#[test]
fn only_methods_and_statuses_may_be_repeated() {
    for (name, value) in [
        ("since", "1"),
        ("until", "1"),
        ("path_prefix", "/"),
        ("remote_addr", "::1"),
        ("q", "a"),
    ] {
        let error = Filter::parse([(name, value); 2], Time::now()).expect_err(name);
        assert_eq!(error, ParameterError::repeated(name));
    }
}

#[test]
fn the_text_after_a_prefix_is_the_next_in_order_of_bytes() {
    assert_eq!(after_prefix("/a"), Some("/b".to_owned()));
    assert_eq!(after_prefix("a\u{d7ff}"), Some("a\u{e000}".to_owned()));
    assert_eq!(after_prefix("a\u{10ffff}"), Some("b".to_owned()));
    assert_eq!(after_prefix("\u{10ffff}"), None);
    assert_eq!(after_prefix(""), None);
}

/// Parameters and values that meet, or just miss, the rows below.
fn parameter() -> impl Strategy<Value = (&'static str, String)> {
    let some = |name: &'static str, values: &'static [&'static str]| {
        prop::sample::select(values).prop_map(move |value| (name, value.to_owned()))
    };
    let time = |name: &'static str| {
        (0..40u32).prop_map(move |n| (name, format!("{}.{:06}", n / 10, n % 10)))
    };
    let networks = &[
        "10.1.2.3",
        "10.1.0.0/16",
        "10.1.2.0/30",
        "0.0.0.0/1",
        "::1",
        "fe80::/9",
        "::/0",
    ];
    prop_oneof![
        time("since"),
        time("until"),
        some("method", &["GET", "PUT"]),
        some("path_prefix", &["/", "/a", "/a/", "/ä", "%", "\u{10ffff}"]),
        some("status", &["200", "2xx", "5xx", "none"]),
        some("remote_addr", networks),
        some("q", &["a", "A", "/", "ä", "%"]),
    ]
}

fn row() -> impl Strategy<Value = [Value; 5]> {
    let text = |values: &'static [&'static str]| {
        prop::sample::select(values).prop_map(|text| Value::from(text.to_owned()))
    };
    let timestamp = prop_oneof![
        (0..40u32).prop_map(|n| Value::Real(f64::from(n / 10) + f64::from(n % 10) * 1e-6)),
        (0..400u32).prop_map(|n| Value::Real(f64::from(n / 100) + f64::from(n % 100) * 1e-7)),
        Just(Value::from("no time".to_owned())),
    ];
    let status = prop_oneof![
        prop::sample::select(&[200, 204, 299, 300, 500, 599, 600, 99][..]).prop_map(Value::Integer),
        Just(Value::Null),
        Just(Value::from("ok".to_owned())),
    ];
    let address = prop_oneof![
        text(&[
            "10.1.2.3",
            "10.1.2.4",
            "10.10.0.1",
            "128.0.0.1",
            "::1",
            "fe80::1",
            "fec0::1",
            "x"
        ]),
        Just(Value::Null),
    ];
    let path = text(&[
        "/",
        "/a",
        "/a/b",
        "/A",
        "/ä",
        "%",
        "*",
        "/b%20a",
        "\u{10ffff}\u{10ffff}",
    ]);
    (
        timestamp,
        text(&["GET", "PUT", "get"]),
        path,
        address,
        status,
    )
        .prop_map(|(timestamp, method, path, address, status)| {
            [timestamp, method, path, address, status]
        })
}

fn stored(connection: &Connection, condition: &Condition) -> Vec<StoredRecord> {
    let (sql, values) = condition;
    connection
        .prepare(&select_sql(sql))
        .and_then(|mut rows| {
            let values = rusqlite::params_from_iter(values);
            rows.query_map(values, StoredRecord::read)?.collect()
        })
        .expect("the condition is valid")
}

proptest! {
    #[test]
    fn the_condition_holds_for_every_record_that_is_wanted(
        rows in prop::collection::vec(row(), 1..20),
        parameters in prop::collection::vec(parameter(), 1..4),
    ) {
        let connection = database();
        for row in rows {
            let sql = "insert into requests (timestamp, method, path, content_length, remote_addr, status) values (?, ?, ?, 0, ?, ?)";
            connection.execute(sql, row).expect("a row");
        }
        let mut filter = Filter::default();
        for (name, value) in &parameters {
            // A second value of one that may be given once is an error, and leaves the first or the second.
            let _ = filter.set(name, value, Time::now());
        }
        let all = stored(&connection, &("true".to_owned(), Vec::new()));
        let wanted: Vec<_> = all.into_iter().filter(|record| filter.matches(record)).collect();
        let mut found = stored(&connection, &filter.condition());
        found.retain(|record| filter.matches(record));
        prop_assert_eq!(found, wanted);
    }
}
