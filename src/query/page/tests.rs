use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::query::test_database::{database, filter, insert};

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn ids(page: &Page) -> Vec<i64> {
    page.records.iter().map(|record| record.id).collect()
}

/// All pages from one end to the other.
fn walk(
    connection: &Connection,
    filter: &Filter,
    first: Cursor,
    limit: usize,
    deadline: Instant,
) -> Vec<i64> {
    let (mut cursor, mut found) = (first, Vec::new());
    loop {
        let page = page(connection, filter, cursor, limit, deadline).expect("a page");
        assert!(page.records.len() <= limit);
        found.extend(ids(&page));
        cursor = match (page.next, cursor) {
            (None, _) => return found,
            (Some(id), Cursor::Before(before)) if id < before => Cursor::Before(id),
            (Some(id), Cursor::After(after)) if id > after => Cursor::After(id),
            (Some(id), cursor) => panic!("{id} leads back to {cursor:?}"),
        };
    }
}

#[test]
fn a_page_crosses_gaps_of_any_size() {
    let connection = database();
    let far = i64::MAX - 2;
    for id in [-7, 1, 2, 100_000, 5_000_000_000, far] {
        insert(&connection, id, id as f64 / 1e6);
    }
    let mut expected = vec![far, 5_000_000_000, 100_000, 2, 1, -7];
    for limit in [1, 2, 5, 6, 7] {
        let newest_first = walk(
            &connection,
            &filter(&[]),
            Cursor::Before(i64::MAX),
            limit,
            later(),
        );
        assert_eq!(newest_first, expected, "{limit} a page");
    }
    expected.reverse();
    for limit in [1, 2, 5, 6, 7] {
        let oldest_first = walk(
            &connection,
            &filter(&[]),
            Cursor::After(i64::MIN),
            limit,
            later(),
        );
        assert_eq!(oldest_first, expected, "{limit} a page");
    }
}

#[test]
fn a_page_without_time_says_where_to_go_on() {
    let connection = database();
    let sql = "with recursive n(id) as (select 1 union all select id + 1 from n where id < 20000)
        insert into requests (id, timestamp, method, path, content_length) select id, id, 'GET', '/' || id, 0 from n";
    connection.execute(sql, []).expect("rows");
    let nothing = filter(&[("q", "nowhere")]);
    let first = page(
        &connection,
        &nothing,
        Cursor::Before(i64::MAX),
        10,
        Instant::now(),
    )
    .expect("a page");
    assert_eq!(
        (ids(&first), first.next, first.is_complete),
        (vec![], Some(15_905), false)
    );
    let two = filter(&[("path_prefix", "/1999")]);
    for (cursor, order) in [(Cursor::Before(i64::MAX), -1), (Cursor::After(0), 1)] {
        let found = walk(&connection, &two, cursor, 3, Instant::now());
        let mut expected: Vec<i64> = (19990..=19999).chain([1999]).collect();
        expected.sort_by_key(|id| id * order);
        assert_eq!(found, expected);
    }
}

#[test]
fn an_interrupted_page_has_what_was_found_until_then() {
    let connection = database();
    for id in 1..=3000 {
        insert(&connection, id, id as f64);
    }
    // A row takes about ten steps.
    let mut calls = 0;
    let interrupt = move || {
        calls += 1;
        calls > 3
    };
    connection
        .progress_handler(2_000, Some(interrupt))
        .expect("a handler");
    let found = page(
        &connection,
        &filter(&[]),
        Cursor::Before(i64::MAX),
        5000,
        later(),
    )
    .expect("a page");
    let count = found.records.len();
    assert!((1..3000).contains(&count), "{count}");
    assert_eq!(
        (found.next, found.is_complete),
        (found.records.last().map(|r| r.id), false)
    );
}

#[test]
fn one_row_with_a_wrong_clock_does_not_mislead_the_search() {
    for (wrong, expected) in [(0.0, 500), (4e9, 501)] {
        let connection = database();
        for id in 1..=1000 {
            // The first row that the search looks at is the one in the middle.
            let timestamp = if id == 500 {
                wrong
            } else {
                1e9 + id as f64 * 60.0
            };
            insert(&connection, id, timestamp);
        }
        let since = (1e9 + 300.0 * 60.0).to_string();
        let found = walk(
            &connection,
            &filter(&[("since", &since)]),
            Cursor::After(0),
            5000,
            later(),
        );
        let all: Vec<i64> = (300..=1000)
            .filter(|id| *id != 500 || expected == 501)
            .collect();
        assert_eq!(found, all);
        let until = (1e9 + 700.0 * 60.0).to_string();
        let found = walk(
            &connection,
            &filter(&[("until", &until)]),
            Cursor::After(0),
            5000,
            later(),
        );
        let all: Vec<i64> = (1..700)
            .filter(|id| *id != 500 || expected == 500)
            .collect();
        assert_eq!(found, all);
    }
}

proptest! {
    /// Commits are in order; each row's request arrived at most 300 s before its commit.
    #[test]
    fn a_range_of_times_is_exact_for_rows_that_are_five_minutes_late(
        rows in prop::collection::vec((1i64..50, 0u32..200, 0u32..300), 1..200),
        (since, length) in (0u32..8000, 0u32..4000),
        limit in 1usize..40,
        is_timeless in any::<bool>(),
    ) {
        let connection = database();
        let (mut id, mut commit) = (0, 300);
        let mut expected = Vec::new();
        for (gap, wait, late) in rows {
            id += gap;
            commit += wait;
            let timestamp = commit - late;
            insert(&connection, id, f64::from(timestamp));
            if (since..since + length).contains(&timestamp) {
                expected.push(id);
            }
        }
        let until = since + length;
        let range = filter(&[("since", &since.to_string()), ("until", &until.to_string())]);
        let deadline = if is_timeless { Instant::now() } else { later() };
        let found = walk(&connection, &range, Cursor::After(0), limit, deadline);
        prop_assert_eq!(&found, &expected);
        expected.reverse();
        let found = walk(&connection, &range, Cursor::Before(i64::MAX), limit, deadline);
        prop_assert_eq!(&found, &expected);
    }
}
