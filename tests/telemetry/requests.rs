//! The log lines of requests, at `log.level = "debug"`.

use serde_json::Value;

use crate::common::client::{Client, send};
use crate::common::locks::WriteLock;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

fn server() -> Server {
    Server::with(|c| {
        c.text("log.level", "debug")
            .text("commit.deadline", "300ms")
            .set("trusted_proxies", r#"["127.0.0.1/32"]"#);
    })
}

/// The lines of requests, once there are `count`: a line may come after its response.
fn wait_for_lines(server: &Server, count: usize) -> Vec<Value> {
    eventually("the requests are logged", TIMEOUT, || {
        let lines = lines(server);
        (lines.len() >= count).then_some(lines)
    })
}

fn lines(server: &Server) -> Vec<Value> {
    let log = server.log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line));
    lines
        .filter(|line: &Value| line["message"] == "request")
        .collect()
}

#[test]
fn each_request_has_one_line_with_the_fields_of_its_record_and_the_proxys_id() {
    let mut server = server();
    let fields = "Host: h\r\nX-Forwarded-For: 203.0.113.7\r\nX-Request-ID: 0f-A_b.9";
    for head in [
        "POST /taken?secret HTTP/1.1\r\nContent-Length: 0",
        "GET /refused?secret HTTP/1.1\r\nExpect: nonsense",
    ] {
        let (line, rest) = head.split_once("\r\n").expect("two lines");
        let response = send(
            server.addr(),
            format!("{line}\r\n{fields}\r\n{rest}\r\n\r\n"),
        );
        let id = response.record_id().expect("its id");
        let line = wait_for_lines(&server, usize::try_from(id).expect("a count")).pop();
        let line = line.expect("its line");
        let record = server.get_admin(&format!("/requests/{id}")).json();
        assert_eq!(record["status"], response.status);
        for field in [
            "id",
            "method",
            "path",
            "remote_addr",
            "status",
            "duration_us",
        ] {
            assert_eq!(line[field], record[field], "{field}: {line}");
        }
        assert_eq!(line["remote_addr"], "203.0.113.7");
        assert_eq!(line["request_id"], "0f-A_b.9");
        assert_eq!(line["level"], "DEBUG");
    }
    assert_eq!(server.get("/healthz").status, 200);
    server.signal("TERM");
    server.wait_exit(TIMEOUT);
    assert_eq!(lines(&server).len(), 2, "{}", server.log());
    assert!(!server.log().contains("secret"), "{}", server.log());
}

#[test]
fn a_request_without_a_row_has_no_id_and_one_without_a_response_no_status() {
    let server = server();
    let lock = WriteLock::take(server.database_path());
    assert_eq!(server.get("/late").status, 503);
    drop(lock);
    let line = wait_for_lines(&server, 1).remove(0);
    assert_eq!(
        (&line["path"], &line["status"]),
        (&"/late".into(), &503.into())
    );
    assert!(line["duration_us"].is_u64());
    assert_eq!(line.get("id"), None);

    let mut client = Client::connect(server.addr());
    client.send("POST /gone HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    drop(client);
    let line = wait_for_lines(&server, 2).remove(1);
    assert_eq!(line["path"], "/gone");
    assert_eq!(line["cause"], "the client disconnected");
    assert_eq!((line.get("id"), line.get("status")), (None, None));
}

#[test]
fn only_a_single_well_formed_request_id_is_logged() {
    let server = server();
    let longest = "x".repeat(64);
    let too_long = "x".repeat(65);
    let cases: [(&[&str], Option<&str>); 9] = [
        (&[], None),
        (&[""], None),
        (&["seven77"], None),
        (&["eight888"], Some("eight888")),
        (&[&longest], Some(&longest)),
        (&[&too_long], None),
        (&["with\ttab"], None),
        (&["quote\"quote"], None),
        (&["first-of-two", "second-of-two"], None),
    ];
    for (index, (ids, expected)) in cases.into_iter().enumerate() {
        let ids: String = ids
            .iter()
            .map(|id| format!("X-Request-ID: {id}\r\n"))
            .collect();
        let response = send(
            server.addr(),
            format!("GET / HTTP/1.1\r\nHost: h\r\n{ids}\r\n"),
        );
        assert_eq!(response.status, 200, "{ids}");
        let line = wait_for_lines(&server, index + 1).remove(index);
        assert_eq!(
            line.get("request_id").and_then(Value::as_str),
            expected,
            "{ids}"
        );
    }
}
