//! `/requests` and `/requests/{id}` of the admin listener.

use crate::common::client::send;
use crate::common::db::Row;
use crate::common::server::Server;
use serde_json::Value;

/// Sends `POST /1`, `POST /2` … to a new server, each with a body of that length; returns the rows.
fn start_with_records(n: usize) -> (Server, Vec<Row>) {
    let server = Server::start();
    let rows = (1..=n).map(|i| {
        let body = "x".repeat(i);
        let head = format!(
            "POST /{i} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {i}\r\n\r\n"
        );
        let response = send(server.addr(), head + &body);
        server.row(response.record_id().expect("its id"))
    });
    let rows = rows.collect();
    (server, rows)
}

fn assert_is_record(server: &Server, record: &Value, row: &Row) {
    let keys: Vec<&str> = record
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "id",
        "timestamp",
        "method",
        "path",
        "content_length",
        "remote_addr",
        "status",
        "duration_us",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(record["id"], row.id);
    assert_eq!(record["method"], row.method);
    assert_eq!(record["path"], row.path);
    assert_eq!(record["content_length"], row.content_length);
    assert_eq!(record["remote_addr"], "127.0.0.1");
    assert_eq!(record["status"], 200);
    assert_eq!(record["duration_us"], row.duration_us.expect("a duration"));
    let timestamp = record["timestamp"].as_str().expect("a time in RFC 3339");
    assert!(
        timestamp.as_bytes()[10] == b'T' && timestamp.ends_with('Z'),
        "{timestamp}"
    );
    let sql = "select unixepoch(?1, 'subsec')";
    let seconds: f64 = server
        .db()
        .query_row(sql, [timestamp], |row| row.get(0))
        .expect("a time");
    assert!(
        (seconds - row.timestamp).abs() < 0.01,
        "{timestamp} is not {}",
        row.timestamp
    );
}

#[test]
fn pages_list_the_newest_records_first() {
    let (server, rows) = start_with_records(5);
    let page = |query: &str| {
        let response = server.get_admin(&format!("/requests{query}"));
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("content-type"), Some("application/json"));
        response.json()
    };
    let all = page("");
    let records = all["requests"].as_array().expect("a list");
    assert_eq!((records.len(), &all["next_before"]), (5, &Value::Null));
    for (record, row) in records.iter().zip(rows.iter().rev()) {
        assert_is_record(&server, record, row);
    }

    let ids = |page: &Value| -> Vec<i64> {
        let records = page["requests"].as_array().expect("a list");
        records
            .iter()
            .map(|record| record["id"].as_i64().expect("an id"))
            .collect()
    };
    let newest_first: Vec<i64> = rows.iter().rev().map(|row| row.id).collect();
    let first = page("?limit=2");
    assert_eq!(
        (ids(&first), first["next_before"].as_i64()),
        (newest_first[..2].to_vec(), Some(newest_first[1]))
    );
    let second = page(&format!("?limit=2&before={}", newest_first[1]));
    assert_eq!(
        (ids(&second), second["next_before"].as_i64()),
        (newest_first[2..4].to_vec(), Some(newest_first[3]))
    );
    let third = page(&format!("?before={}&limit=2", newest_first[3]));
    assert_eq!(
        (ids(&third), &third["next_before"]),
        (newest_first[4..].to_vec(), &Value::Null)
    );
    let none = page(&format!("?before={}", newest_first[4]));
    assert_eq!((ids(&none), &none["next_before"]), (vec![], &Value::Null));
}

#[test]
fn an_empty_database_has_an_empty_page() {
    let server = Server::start();
    assert_eq!(
        server.get_admin("/requests").json(),
        serde_json::json!({"requests": [], "next_before": null})
    );
}

#[test]
fn invalid_parameters_get_a_problem() {
    let (server, _) = start_with_records(1);
    for query in [
        "limit=0",
        "limit=-1",
        "limit=many",
        "limit=1.5",
        "limit=",
        "before=x",
        "before=",
    ] {
        println!("{query}");
        server
            .get_admin(&format!("/requests?{query}"))
            .assert_problem(400);
    }
}

#[test]
fn one_record_is_found_by_its_id() {
    let (server, rows) = start_with_records(2);
    for row in &rows {
        let response = server.get_admin(&format!("/requests/{}", row.id));
        assert_eq!(
            (response.status, response.header("content-type")),
            (200, Some("application/json"))
        );
        assert_is_record(&server, &response.json(), row);
    }
    server.get_admin("/requests/999999").assert_problem(404);
}

#[test]
fn remote_addr_is_null_on_a_unix_socket() {
    let server = Server::with(|c| {
        let socket = c.path("public.sock");
        c.text("listen", format!("unix:{}", socket.display()));
    });
    let id = server.get("/unix").record_id().expect("its id");
    assert_eq!(
        server.get_admin(&format!("/requests/{id}")).json()["remote_addr"],
        Value::Null
    );
}

#[test]
fn a_row_with_values_of_other_types_is_shown_with_nulls() {
    let (server, _) = start_with_records(1);
    server
        .db()
        .execute_batch(
            "insert into requests values (2, 'x', x'47ff', cast(x'2fff' as text), 'many', x'ff', 'ok', 0.5);
             insert into requests values (3, 1e300, '', '/3', 1.5, null, null, null);
             insert into requests values (4, 1, 'GET', '/4', 4, '192.0.2.1', null, null)",
        )
        .expect("rows of another writer");
    let response = server.get_admin("/requests");
    assert_eq!(response.status, 200, "{}", response.text());
    let record = |id: i64, timestamp, method, path, length, address: Option<&str>| {
        serde_json::json!({
            "id": id, "timestamp": timestamp, "method": method, "path": path,
            "content_length": length, "remote_addr": address, "status": null, "duration_us": null,
        })
    };
    let odd = record(
        2,
        Value::Null,
        "G\u{fffd}",
        "/\u{fffd}",
        0,
        Some("\u{fffd}"),
    );
    let records = &response.json()["requests"];
    assert_eq!(records[2], odd);
    assert_eq!(records[1], record(3, Value::Null, "", "/3", 0, None));
    let time = "1970-01-01T00:00:01.000000Z".into();
    assert_eq!(
        records[0],
        record(4, time, "GET", "/4", 4, Some("192.0.2.1"))
    );
    assert_eq!(server.get_admin("/requests/2").json(), odd);
}

#[test]
fn the_page_with_the_last_record_has_no_next_page() {
    let (server, _rows) = start_with_records(2);
    let page = server.get_admin("/requests?limit=2").json();
    assert_eq!(page["requests"].as_array().map(Vec::len), Some(2));
    assert!(page["next_before"].is_null(), "{page}");
}

#[test]
fn pages_after_an_id_list_the_oldest_records_first() {
    let (server, rows) = start_with_records(5);
    let page = |query: &str| server.get_admin(&format!("/api/requests?{query}")).json();
    let paths = |page: &Value| -> Vec<String> {
        let records = page["requests"].as_array().expect("a list");
        let path = |record: &Value| record["path"].as_str().expect("a path").to_owned();
        records.iter().map(path).collect()
    };
    let first = page(&format!("after={}&limit=2", rows[0].id));
    assert_eq!(paths(&first), ["/2", "/3"]);
    assert_eq!(
        (&first["next_after"], &first["next_before"]),
        (&rows[2].id.into(), &Value::Null)
    );
    let second = page(&format!("after={}&limit=2", rows[2].id));
    assert_eq!(
        (paths(&second).len(), &second["next_after"]),
        (2, &Value::Null)
    );
    for query in ["after=x", "after=1&after=2", "after=1&before=2"] {
        let response = server.get_admin(&format!("/api/requests?{query}"));
        response.assert_problem(400);
    }
}
