//! `/api/state`.

use super::records::get;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};
use serde_json::{Value, json};

#[test]
fn the_state_describes_the_replica() {
    let server = Server::start();
    assert_eq!(
        get(&server, "/api/state")["retention"]["oldest"],
        Value::Null
    );
    for _ in 0..3 {
        server.get("/");
    }
    let state = get(&server, "/api/state");
    assert_eq!(state["replica"], "test");
    assert_eq!(state["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&state["ready"], &state["reason"]),
        (&true.into(), &Value::Null)
    );
    assert_eq!(state["recording"], true);
    assert_eq!(
        state["requests"],
        json!({"in_flight": 0, "rejected_total": 0})
    );
    assert_eq!(state["queue"], json!({"records": 0, "records_max": 8192}));
    assert_eq!(state["commits"]["records_total"], 3);
    assert!(state["commits"]["total"].as_u64() >= Some(3), "{state}");
    assert!(
        state["commits"]["seconds_total"].as_f64() > Some(0.0),
        "{state}"
    );
    assert!(state["lock_wait"]["total"].is_u64(), "{state}");
    for (section, size) in [
        ("database", "bytes"),
        ("database", "wal_bytes"),
        ("disk", "free_bytes"),
        ("disk", "total_bytes"),
    ] {
        assert!(
            state[section][size].as_u64() > Some(0),
            "{section}.{size}: {state}"
        );
    }
    assert_eq!(
        (&state["backup"], &state["restore"]),
        (&Value::Null, &Value::Null)
    );
    // The first one runs after a minute.
    assert_eq!(state["jobs"], json!([]));
    let first = get(&server, "/api/requests/1");
    assert_eq!(state["retention"]["oldest"], first["timestamp"]);
    assert!(state["time"].as_str() > first["timestamp"].as_str());
}

#[test]
fn a_replica_that_drains_and_does_not_record_says_so() {
    let server = Server::with(|c| {
        c.set("record", false).text("shutdown.drain_delay", "60s");
    });
    server.signal("TERM");
    let state = eventually("it drains", TIMEOUT, || {
        let state = get(&server, "/api/state");
        (state["ready"] == false).then_some(state)
    });
    assert!(
        state["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("draining")),
        "{state}"
    );
    assert_eq!(state["recording"], false);
}
