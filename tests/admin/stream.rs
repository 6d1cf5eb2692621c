//! `/api/stream` of the admin listener.

use std::net::TcpStream;
use std::thread;

use axum::Router;
use serde_json::json;

use crate::common::client::{Client, get as http_get};
use crate::common::events::EventStream;
use crate::common::in_process::InProcessServer;
use crate::common::notes::{post_text, start_with_notes};
use crate::common::server::Server;
use crate::common::syncs::Syncs;
use crate::common::{TIMEOUT, db, eventually};

/// A server whose routes respond with 404, and with 200 to `/fine`.
fn start(keys: &[(&str, &str)]) -> InProcessServer {
    let fine = axum::routing::get(async || "fine");
    InProcessServer::start(Router::new().route("/fine", fine), keys)
}

#[test]
fn a_request_through_either_replica_is_in_the_streams_of_both() {
    let first = start(&[]);
    let path = first.database_path().to_str().expect("text").to_owned();
    let second = start(&[("database.path", &path)]);
    let mut streams = [&first, &second].map(|server| EventStream::open(&server.admin, ""));
    for (id, (server, path)) in (1..).zip([(&first, "/fine"), (&second, "/nowhere")]) {
        let response = http_get(&server.listen, path);
        assert_eq!(response.record_id(), Some(id));
        for stream in &mut streams {
            let event = stream.next().expect("an event");
            assert_eq!((event.name.as_str(), event.id), ("request", Some(id)));
            let api = http_get(&first.admin, &format!("/requests/{id}")).json();
            assert_eq!(event.data, api);
            assert_eq!(event.data["status"], response.status);
        }
    }
}

#[test]
fn an_outcome_that_comes_late_is_an_event_of_its_own() {
    let server = start_with_notes(&[]);
    let mut stream = EventStream::open(&server.admin, "");
    let id = post_text(&server, "/notes", "one").record_id();
    let request = stream.expect("request");
    assert_eq!(
        (request["id"].as_i64(), &request["status"]),
        (id, &json!(null))
    );
    let outcome = stream.next().expect("an event");
    assert_eq!((outcome.name.as_str(), outcome.id), ("outcome", None));
    assert_eq!(
        (outcome.data["id"].as_i64(), &outcome.data["status"]),
        (id, &json!(200))
    );
    assert!(
        outcome.data["duration_us"].as_i64() > Some(0),
        "{outcome:?}"
    );
}

#[test]
fn a_filter_on_status_waits_for_the_outcome() {
    let server = start_with_notes(&[]);
    let mut fine = EventStream::open(&server.admin, "status=2xx&path_prefix=/notes");
    let mut none = EventStream::open(&server.admin, "status=none");
    let mut wrong = EventStream::open(&server.admin, "status=404");
    let id = post_text(&server, "/notes", "one").record_id();
    let shown = fine.expect("request");
    assert_eq!((shown["id"].as_i64(), &shown["status"]), (id, &json!(200)));
    assert_eq!(none.expect("request")["id"].as_i64(), id);
    assert_eq!(none.expect("outcome")["status"], 200);
    // This is the first that it wants.
    let nowhere = post_text(&server, "/nowhere", "").record_id();
    assert_eq!(wrong.expect("request")["id"].as_i64(), nowhere);
}

#[test]
fn filters_decide_which_requests_a_stream_has() {
    let server = start(&[]);
    let queries = [
        "path_prefix=/a",
        "q=b%2Fc&method=GET",
        "status=200&status=5xx",
        "remote_addr=127.0.0.0/8",
    ];
    let mut streams = queries.map(|query| EventStream::open(&server.admin, query));
    let ids = ["/a/1", "/b/c", "/fine"].map(|path| http_get(&server.listen, path).record_id());
    for (stream, id) in streams.iter_mut().zip(ids) {
        assert_eq!(stream.expect("request")["id"].as_i64(), id);
    }
    for id in &ids {
        assert_eq!(streams[3].expect("request")["id"].as_i64(), *id);
    }
}

#[test]
fn a_wrong_parameter_gets_a_problem_that_names_it() {
    let server = start(&[]);
    for (query, words) in [
        ("status=abc", "status=abc"),
        ("limit=5", "limit"),
        ("since=yesterday", "since=yesterday"),
    ] {
        let response = http_get(&server.admin, &format!("/api/stream?{query}"));
        response.assert_problem(400);
        assert!(response.contains(words), "{}", response.text());
    }
    let refused = EventStream::open_after(&server.admin, "", Some("x"));
    refused.err().expect("a refusal").assert_problem(400);
}

#[test]
fn under_load_a_stream_shows_200_records_a_second_and_says_how_many_it_leaves_out() {
    let server = start(&[]);
    let mut all = EventStream::open(&server.admin, "");
    let mut some = EventStream::open(&server.admin, "status=200");
    db::add_rows(&server.db(), 5000, 0);
    for id in 1..=200 {
        assert_eq!(all.expect("request")["id"], id);
    }
    let gap = all.next().expect("an event");
    assert_eq!((gap.name.as_str(), gap.id), ("gap", Some(5000)));
    assert_eq!(
        gap.data,
        json!({"from_id": 201, "to_id": 5000, "count": 4800})
    );
    // Of the 1,000 that were read it wants every fourth; the others were not compared.
    for id in 1..=200 {
        assert_eq!(some.expect("request")["id"], id * 4);
    }
    let gap = some.expect("gap");
    assert_eq!(gap, json!({"from_id": 804, "to_id": 5000, "count": 4050}));
}

#[test]
fn long_paths_count_as_several_records() {
    let server = start(&[]);
    let mut stream = EventStream::open(&server.admin, "");
    db::add_rows(&server.db(), 200, 3 * 1024);
    for id in 1..=50 {
        assert_eq!(stream.expect("request")["id"], id);
    }
    let gap = json!({"from_id": 51, "to_id": 200, "count": 150});
    assert_eq!(stream.expect("gap"), gap);
}

#[test]
fn a_client_that_connects_again_gets_what_it_has_missed() {
    let server = start(&[]);
    db::add_rows(&server.db(), 1500, 0);
    let after = |id: &str| EventStream::open_after(&server.admin, "", Some(id)).ok();
    let mut long_away = after("3").expect("a stream");
    let mut short_away = after("1498").expect("a stream");
    for id in 4..=1003 {
        let event = long_away.next().expect("an event");
        assert_eq!((event.data["id"].as_i64(), event.id), (Some(id), Some(id)));
    }
    let gap = json!({"from_id": 1004, "to_id": 1500, "count": 497});
    assert_eq!(long_away.expect("gap"), gap);
    for id in [1499, 1500] {
        assert_eq!(short_away.expect("request")["id"], id);
    }
    let mut filtered = EventStream::open_after(&server.admin, "status=500", Some("1490"));
    let filtered = filtered.as_mut().expect("a stream");
    let mut ahead = after("999999").expect("a stream");
    assert_eq!(filtered.expect("request")["id"], 1491);
    assert_eq!(filtered.expect("request")["id"], 1495);
    assert_eq!(filtered.expect("request")["id"], 1499);
    assert_eq!(http_get(&server.listen, "/fine").record_id(), Some(1501));
    for stream in [&mut long_away, &mut short_away, &mut ahead] {
        assert_eq!(stream.expect("request")["id"], 1501);
    }
}

#[test]
fn a_client_that_connects_again_gets_a_rare_record_among_thousands() {
    let server = start(&[]);
    db::add_rows(&server.db(), 20_000, 0);
    let query = "path_prefix=/added/19999";
    let stream = EventStream::open_after(&server.admin, query, Some("1"));
    assert_eq!(stream.expect("a stream").expect("request")["id"], 19_999);
}

#[test]
fn long_paths_that_a_client_has_missed_count_as_several_records() {
    let server = start(&[]);
    db::add_rows(&server.db(), 300, 3 * 1024);
    let stream = EventStream::open_after(&server.admin, "", Some("3"));
    let mut stream = stream.expect("a stream");
    for id in 4..=253 {
        assert_eq!(stream.expect("request")["id"], id);
    }
    let gap = json!({"from_id": 254, "to_id": 300, "count": 47});
    assert_eq!(stream.expect("gap"), gap);
}

#[test]
fn the_65th_stream_gets_503_until_another_one_ends() {
    let server = start(&[]);
    let mut streams: Vec<_> = (0..64)
        .map(|_| EventStream::open(&server.admin, ""))
        .collect();
    let response = http_get(&server.admin, "/api/stream");
    response.assert_problem(503);
    assert!(
        response.contains("admin.streams_max = 64"),
        "{}",
        response.text()
    );
    // The rest of the admin listener works.
    assert_eq!(http_get(&server.admin, "/livez").status, 200);
    streams.pop();
    eventually("a place is free", TIMEOUT, || {
        // The server notices the end when it sends.
        http_get(&server.listen, "/fine");
        EventStream::open_after(&server.admin, "", None).is_ok()
    });
    for mut stream in streams {
        assert_eq!(stream.expect("request")["path"], "/fine");
    }
}

#[test]
fn a_slow_client_is_dropped() {
    // A unix socket holds less than a TCP connection.
    let server = Server::with(|c| {
        let socket = format!("unix:{}", c.path("admin.sock").display());
        c.set("admin.listen", format!("[\"127.0.0.1:0\", {socket:?}]"))
            .set("admin.streams_max", "1")
            .text("http.write_timeout", "500ms");
    });
    let [admin, socket] = server.admin_listen() else {
        panic!("two listeners")
    };
    let mut slow = Client::connect(socket);
    slow.send("GET /api/stream HTTP/1.1\r\nhost: localhost\r\n\r\n");
    eventually("the stream has begun", TIMEOUT, || !slow.is_silent());
    let database = server.db();
    eventually("the slow client's place is free", TIMEOUT * 3, || {
        db::add_rows(&database, 10, 1000);
        EventStream::open_after(admin, "", None).is_ok()
    });
    let received = slow.read_until_closed();
    assert!(!received.ends_with(b"0\r\n\r\n"), "a complete response");
}

#[test]
fn a_stop_ends_the_streams_in_order() {
    let server = start(&[("shutdown.grace", "5m")]);
    let stream = EventStream::open(&server.admin, "");
    let mut chunked = Client::connect(&server.admin);
    chunked.send("GET /api/stream HTTP/1.1\r\nhost: localhost\r\n\r\n");
    eventually("the stream has begun", TIMEOUT, || !chunked.is_silent());
    let ended = thread::spawn(move || (stream.read_to_end(), chunked.read_to_end()));
    drop(server);
    let (rest, chunked) = ended.join().expect("no panic");
    assert_eq!(rest, "");
    let chunked = chunked.expect("an orderly end");
    assert!(
        chunked.ends_with(b"\r\n0\r\n\r\n"),
        "{}",
        String::from_utf8_lossy(&chunked)
    );
}

/// A commit of another process can be read before it is synced. This test runs itself once more, with a library that
/// counts the syncs of the write-ahead log.
#[test]
fn at_full_a_late_outcome_is_shown_after_a_sync() {
    const NAME: &str = "admin::stream::at_full_a_late_outcome_is_shown_after_a_sync";
    let Some(syncs) = Syncs::in_a_second_run(NAME) else {
        return;
    };
    let server = start(&[("database.synchronous", "full")]);
    let foreign = server.db();
    let run = |sql: &str| foreign.execute_batch(sql).expect("another process's write");
    run("pragma synchronous = off");
    let mut stream = EventStream::open(&server.admin, "");
    let insert =
        "insert into requests (timestamp, method, path, content_length) values (1, 'GET', '/', 0)";
    let outcome = "update requests set status = 200 where id = 1";
    for (write, event) in [(insert, "request"), (outcome, "outcome")] {
        let before = syncs.count();
        run(write);
        assert_eq!(stream.expect(event)["id"], 1);
        assert!(
            syncs.count() > before,
            "{event}: it was shown before a sync"
        );
    }
}

#[test]
fn a_client_that_has_gone_costs_nothing() {
    let server = start(&[]);
    drop(EventStream::open(&server.admin, ""));
    drop(TcpStream::connect(&server.admin));
    assert_eq!(http_get(&server.listen, "/fine").record_id(), Some(1));
    let mut stream = EventStream::open(&server.admin, "");
    assert_eq!(http_get(&server.listen, "/fine").record_id(), Some(2));
    // It may begin with what was recorded just before.
    while stream.expect("request")["id"] != 2 {}
}
