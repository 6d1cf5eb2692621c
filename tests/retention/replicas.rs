//! Several replicas, and a stop in the middle.

use super::{DAY, Database, deleted, serve};
use crate::common::{TIMEOUT, eventually};

#[test]
fn four_replicas_delete_each_record_once_and_record_meanwhile() {
    let database = Database::new();
    database.add(50_000, 91.0 * DAY);
    let replicas: Vec<_> = (1..=4)
        .map(|replica| {
            serve(&database.path, |config| {
                config.text("retention.age", "90d").text("replica", replica);
            })
        })
        .collect();
    let mut recorded = 0;
    eventually("the old ones are gone", TIMEOUT * 3, || {
        for replica in &replicas {
            assert_eq!(replica.get("/").status, 200);
            recorded += 1;
        }
        database.rows() == recorded
    });
    eventually("each is counted once", TIMEOUT, || {
        replicas.iter().map(deleted).sum::<f64>() == 50_000.0
    });
}

#[test]
fn a_stop_ends_a_run_at_once_and_the_next_one_goes_on() {
    let database = Database::new();
    database.add(300_000, 91.0 * DAY);
    let mut server = database.serve(&[("age", "'90d'")]);
    eventually("it deletes", TIMEOUT, || database.rows() < 300_000);
    server.signal("TERM");
    let status = server.wait_exit(TIMEOUT);
    assert!(status.success(), "{status}");
    let left = database.rows();
    assert!(left > 0, "it was stopped in the middle");
    let check: String = database
        .db
        .query_row("pragma quick_check", [], |row| row.get(0))
        .expect("a check");
    assert_eq!(check, "ok");

    database.forget_last_run();
    let _server = database.serve(&[("age", "'90d'")]);
    eventually("the rest is gone", TIMEOUT * 6, || database.rows() == 0);
}
