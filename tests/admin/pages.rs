//! The pages of `/api/requests`.

use super::records::{DAY, NewRow, ids, insert, insert_many, list};
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};
use serde_json::Value;

/// The ids of all pages. A page that found no time to begin is asked for again.
fn walk(server: &Server, query: &str) -> (Vec<i64>, usize) {
    let (mut found, mut before, mut incomplete) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/api/requests?{query}{before}");
        let page = eventually(&path, TIMEOUT, || {
            let response = server.get_admin(&path);
            (response.status == 200).then(|| response.json())
        });
        found.extend(ids(&page));
        incomplete += usize::from(page["complete"] == false);
        match page["next_before"].as_i64() {
            Some(id) => before = format!("&before={id}"),
            None => {
                assert_eq!(
                    (&page["next_before"], &page["complete"]),
                    (&Value::Null, &true.into())
                );
                return (found, incomplete);
            }
        }
    }
}

#[test]
fn pages_cross_the_gaps_that_deleted_rows_leave() {
    let server = Server::start();
    let db = server.db();
    insert_many(&db, 50, DAY);
    db.execute(
        "delete from requests where id < 5 or id between 20 and 40",
        [],
    )
    .expect("a deletion");
    db.execute(
        "update sqlite_sequence set seq = 5000000000 where name = 'requests'",
        [],
    )
    .expect("a gap");
    let far = insert(
        &db,
        NewRow {
            timestamp: DAY + 50.0,
            ..NewRow::default()
        },
    );
    assert_eq!(far, 5_000_000_001);
    let mut expected: Vec<i64> = (5..20).chain(41..=50).chain([far]).collect();
    expected.reverse();
    for limit in [1, 7, 26, 27, 1000] {
        let (found, _) = walk(&server, &format!("limit={limit}"));
        assert_eq!(found, expected, "{limit}");
    }
    let (found, _) = walk(&server, "limit=2&path_prefix=/4");
    assert_eq!(found, [50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 5]);
    // Between two gaps, by time.
    let (found, _) = walk(&server, "limit=2&since=1728000010&until=1728000043");
    assert_eq!(found, [43, 42, 41, 19, 18, 17, 16, 15, 14, 13, 12, 11]);
}

#[test]
fn a_limit_above_1000_is_capped_and_the_response_says_so() {
    let server = Server::start();
    insert_many(&server.db(), 1002, DAY);
    for (query, limit, last) in [
        ("", 50, 953),
        ("limit=3", 3, 1000),
        ("limit=1000", 1000, 3),
        ("limit=1001", 1000, 3),
        ("limit=99999999999999999999999", 1000, 3),
        ("limit=007", 7, 996),
    ] {
        let page = list(&server, query);
        assert_eq!(page["limit"], limit, "{query}");
        assert_eq!(ids(&page).len(), limit, "{query}");
        assert_eq!(
            (&page["next_before"], &page["complete"]),
            (&last.into(), &true.into()),
            "{query}"
        );
    }
}

#[test]
fn a_page_that_read_timeout_ends_says_where_to_go_on() {
    let server = Server::with(|c| {
        c.text("database.read_timeout", "30ms");
    });
    let db = server.db();
    let needle = insert(
        &db,
        NewRow {
            path: "/needle",
            ..NewRow::default()
        },
    );
    insert_many(&db, 600_000, DAY);
    let (found, incomplete) = walk(&server, "q=needle&limit=5");
    assert_eq!(found, [needle]);
    assert!(incomplete > 0, "600,000 rows were read in 30 ms");
    // A time is found without reading all rows.
    let (found, _) = walk(&server, "since=1728300000&until=1728300003");
    assert_eq!(found, [300_004, 300_003, 300_002]);
}

#[test]
fn requests_that_arrived_long_before_their_commit_are_found_by_time() {
    let server = Server::start();
    let db = server.db();
    // Between rows in order, one whose body took 4 minutes and 50 seconds.
    insert_many(&db, 1000, DAY);
    let late = insert(
        &db,
        NewRow {
            timestamp: DAY + 710.0,
            ..NewRow::default()
        },
    );
    insert_many(&db, 1000, DAY + 1000.0);
    assert_eq!(
        ids(&list(&server, "since=1728000710&until=1728000711")),
        [late, 711]
    );
    assert_eq!(
        ids(&list(&server, "since=1728000709.5&until=1728000710.5")),
        [late, 711]
    );
}
