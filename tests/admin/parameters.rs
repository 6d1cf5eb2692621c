//! Parameters that are wrong, unknown or hostile.

use super::records::{DAY, insert_many};
use crate::common::server::Server;

#[test]
fn a_wrong_parameter_is_named() {
    let server = Server::start();
    insert_many(&server.db(), 3, DAY);
    for (path, parameter) in [
        ("/api/requests?limit=0", "limit"),
        ("/api/requests?limit=-1", "limit"),
        ("/api/requests?limit=many", "limit"),
        ("/api/requests?limit=1.5", "limit"),
        ("/api/requests?limit=", "limit"),
        ("/api/requests?limit", "limit"),
        ("/api/requests?limit=1&limit=2", "limit"),
        ("/api/requests?before=x", "before"),
        ("/api/requests?before=", "before"),
        ("/api/requests?before=9223372036854775808", "before"),
        ("/api/requests?since=yesterday", "since"),
        ("/api/requests?since=2024-10-04", "since"),
        ("/api/requests?since=2024-10-04T00:00:00+02:00", "since"),
        ("/api/requests?until=1e9", "until"),
        ("/api/requests?until=1&until=2", "until"),
        ("/api/requests?method=", "method"),
        ("/api/requests?method=G%20T", "method"),
        ("/api/requests?path_prefix=", "path_prefix"),
        ("/api/requests?status=50", "status"),
        ("/api/requests?status=5xx&status=oops", "status"),
        ("/api/requests?remote_addr=host", "remote_addr"),
        ("/api/requests?remote_addr=10.0.0.0/40", "remote_addr"),
        ("/api/requests?q=", "q"),
        ("/api/requests?offset=1", "offset"),
        ("/api/requests?Limit=1", "Limit"),
        ("/api/requests?=1", ""),
        ("/api/requests/1?limit=1", "limit"),
        ("/api/state?verbose=1", "verbose"),
        ("/api/stats?bucket=2m", "bucket"),
        ("/api/stats?limit=1", "limit"),
        ("/api/stats?top=few", "top"),
        ("/api/stats?since=never", "since"),
    ] {
        let response = server.get_admin(path);
        response.assert_problem(400);
        let problem = response.json();
        assert_eq!(problem["parameter"], parameter, "{path}: {problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(
            detail.contains(parameter) && detail.contains("use "),
            "{path}: {detail}"
        );
    }
}

#[test]
fn a_plus_that_became_a_space_gets_a_hint() {
    let server = Server::start();
    let response = server.get_admin("/api/requests?since=2024-10-04T00:00:00+02:00");
    assert!(response.text().contains("%2B"), "{}", response.text());
}

#[test]
fn hostile_parameters_get_a_problem_or_nothing_and_harm_nothing() {
    let server = Server::start();
    insert_many(&server.db(), 3, DAY);
    let long = "a".repeat(7000);
    let many = "status=5xx&".repeat(600);
    for (query, status) in [
        ("q=%ff", 400),
        ("%ff=1", 400),
        ("method=GET%ff", 400),
        ("q=%00", 200),
        ("q=%", 200),
        ("q=%zz", 200),
        ("q=';drop table requests;--", 200),
        ("path_prefix=/%25'%22;", 200),
        ("method=GET'", 200),
        ("remote_addr=' or 1=1 --", 400),
        ("since=' or 1=1 --", 400),
        ("q=%e2%80%ae%f0%9f%92%a9", 200),
        ("&&&", 200),
        ("before=-9223372036854775808", 200),
        ("before=9223372036854775807", 200),
        ("since=-99999999999999999999999999", 400),
        ("since=99999999999y", 400),
        ("since=0.0000000000000000000001", 200),
        ("since=-377705023201", 400),
        ("remote_addr=::/0", 200),
        (&format!("q={long}"), 200),
        (&format!("since={long}"), 400),
        (&format!("{long}=1"), 400),
        (&many, 200),
    ] {
        let response = server.get_admin(&format!("/api/requests?{}", query.replace(' ', "%20")));
        assert_eq!(response.status, status, "{query}: {}", response.text());
        // A message does not grow with what was sent.
        assert!(
            response.status == 200 || response.body.len() < 1000,
            "{}",
            response.text()
        );
    }
    assert_eq!(server.rows(), 3);
}

#[test]
fn times_at_the_ends_of_the_calendar_have_figures() {
    let server = Server::start();
    for query in [
        "until=-62135596800&bucket=1d",
        "until=9998-12-31T23:59:59.999999Z&bucket=1d",
        "since=-62135596800&until=9998-12-31T23:59:59Z",
    ] {
        let stats = super::records::get(&server, &format!("/api/stats?{query}"));
        assert_eq!(stats["total"]["requests"], 0, "{query}");
    }
}

#[test]
fn only_reads_are_accepted() {
    let server = Server::start();
    for path in ["/api/requests", "/api/stats", "/api/state", "/openapi.json"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        crate::common::client::send(server.admin(), head).assert_problem(405);
    }
}
