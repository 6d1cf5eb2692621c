//! The filters of `/api/requests`.

use super::records::{DAY, NewRow, ids, insert, list};
use crate::common::client::send;
use crate::common::server::Server;

/// Four rows with the ids 1 to 4.
fn server() -> Server {
    let server = Server::start();
    let db = server.db();
    for row in [
        NewRow {
            path: "/files/a%20b",
            ..NewRow::default()
        },
        NewRow {
            timestamp: DAY + 60.0,
            method: "POST",
            path: "/files/%61",
            status: Some(503),
            remote_addr: Some("192.0.2.77"),
        },
        NewRow {
            timestamp: DAY + 120.0,
            method: "DELETE",
            path: "/Files/_",
            status: Some(404),
            remote_addr: Some("2001:db8::7"),
        },
        NewRow {
            timestamp: DAY + 180.0,
            status: None,
            remote_addr: None,
            ..NewRow::default()
        },
    ] {
        insert(&db, row);
    }
    server
}

#[test]
fn each_filter_and_several_together_choose_their_requests() {
    let server = server();
    for (query, expected) in [
        ("", &[4, 3, 2, 1][..]),
        ("method=GET", &[4, 1]),
        ("method=POST&method=DELETE", &[3, 2]),
        ("method=get", &[]),
        // Recorded paths are percent-encoded, and so is the query.
        ("path_prefix=/files/", &[2, 1]),
        ("path_prefix=/files/a%2520", &[1]),
        ("path_prefix=%2Ffiles%2F%2561", &[2]),
        ("path_prefix=/files/a%20", &[]),
        ("path_prefix=/Files/%5f", &[3]),
        ("path_prefix=/%25", &[]),
        ("status=503", &[2]),
        ("status=5xx&status=404", &[3, 2]),
        ("status=none", &[4]),
        ("status=none&status=2xx", &[4, 1]),
        ("remote_addr=192.0.2.77", &[2]),
        ("remote_addr=192.0.2.7", &[]),
        ("remote_addr=192.0.2.64/26", &[2]),
        ("remote_addr=192.0.2.0/24", &[2, 1]),
        ("remote_addr=::ffff:192.0.2.1", &[1]),
        ("remote_addr=2001:db8::/32", &[3]),
        ("q=iles", &[3, 2, 1]),
        ("q=files", &[2, 1]),
        ("q=_", &[3]),
        ("q=%25", &[2, 1]),
        ("q=a+b", &[]),
        ("status=5xx&method=POST&q=files&path_prefix=/f", &[2]),
        ("status=5xx&method=GET", &[]),
        ("method=GET&before=4", &[1]),
    ] {
        assert_eq!(ids(&list(&server, query)), expected, "{query}");
    }
}

#[test]
fn a_time_is_rfc_3339_unix_seconds_or_an_age() {
    let server = server();
    for (query, expected) in [
        // The first moment belongs to it, and the last does not.
        ("since=1728000060", &[4, 3, 2][..]),
        ("until=1728000060", &[1]),
        ("since=1728000060&until=1728000180", &[3, 2]),
        (
            "since=2024-10-04T00:01:00Z&until=2024-10-04T00:03:00.000001Z",
            &[4, 3, 2],
        ),
        ("since=2024-10-04T02:01:00%2B02:00", &[4, 3, 2]),
        ("since=1728000060.000001", &[4, 3]),
        ("since=9999h", &[4, 3, 2, 1]),
        ("since=1h", &[]),
        ("until=1h", &[4, 3, 2, 1]),
        ("since=1728000180&until=1728000060", &[]),
    ] {
        let query = query.replace("9999h", "100y");
        assert_eq!(ids(&list(&server, &query)), expected, "{query}");
    }
}

#[test]
fn the_timestamp_of_a_request_finds_it() {
    let server = Server::start();
    let heads =
        (0..3).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    let sent: Vec<i64> = heads
        .map(|head| send(server.addr(), head).record_id().expect("an id"))
        .collect();
    let page = list(&server, "");
    let time = page["requests"][1]["timestamp"].as_str().expect("a time");
    assert_eq!(
        ids(&list(&server, &format!("since={time}"))),
        [sent[2], sent[1]]
    );
    assert_eq!(ids(&list(&server, &format!("until={time}"))), [sent[0]]);
}

#[test]
fn a_handlers_status_is_found_as_soon_as_it_has_responded() {
    let server = Server::start();
    let id = server.get("/now").record_id().expect("an id");
    assert_eq!(ids(&list(&server, "status=2xx&path_prefix=/now")), [id]);
}

#[test]
fn one_request_has_the_same_form_as_on_a_page() {
    let server = server();
    let page = list(&server, "");
    for (index, id) in ids(&page).into_iter().enumerate() {
        let one = super::records::get(&server, &format!("/api/requests/{id}"));
        assert_eq!(one, page["requests"][index]);
    }
    for id in ["0", "5", "-1", "x", "1.0", "99999999999999999999"] {
        server
            .get_admin(&format!("/api/requests/{id}"))
            .assert_problem(404);
    }
    server.get_admin("/api/requests/%ff").assert_problem(404);
}
