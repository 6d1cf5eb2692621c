use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::query::{Stats, StatsQuery, stats};

/// A minute after 1970, so that every time of a test is positive.
const BEGIN: f64 = 1_000_000.0 * 60.0;

fn database() -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    for sql in [
        include_str!("../../store/schema.sql"),
        include_str!("../../store/schema_2.sql"),
    ] {
        connection.execute_batch(sql).expect("the schema");
    }
    connection
}

fn insert(connection: &Connection, timestamp: f64, status: Option<i64>) -> i64 {
    let sql = "insert into requests (timestamp, method, path, content_length, status, duration_us) values (?, 'GET', '/', 10, ?, ?)";
    let duration = status.map(|status| status * 3);
    connection
        .execute(sql, (timestamp, status, duration))
        .expect("a row");
    connection.last_insert_rowid()
}

fn fill(connection: &Connection, id: i64) {
    let sql = "update requests set status = 201, duration_us = 1000 where id = ?";
    connection.execute(sql, [id]).expect("an update");
}

/// One run of the job at this time.
fn run(connection: &Connection, now: f64) {
    loop {
        let step = read(connection, now).expect("a step");
        let has_more = step.has_more;
        step.write(connection).expect("sums");
        if !has_more {
            return;
        }
    }
}

/// The figures of two hours, with the minutes that the table has.
fn figures(connection: &Connection) -> Stats {
    let (since, until) = ((BEGIN - 3600.0).to_string(), (BEGIN + 3600.0).to_string());
    let parameters = [
        ("since", since.as_str()),
        ("until", until.as_str()),
        ("top", "0"),
    ];
    let query = StatsQuery::parse(parameters, Time::now()).expect("parameters");
    let later = Instant::now() + std::time::Duration::from_secs(60);
    stats(connection, &query, later).expect("figures")
}

/// The same from the rows alone.
fn figures_of_rows(connection: &Connection) -> Stats {
    let transaction = connection.unchecked_transaction().expect("a transaction");
    transaction
        .execute_batch(
            "delete from daybook_minutes; update daybook_minutes_progress set next_id = 0",
        )
        .expect("an empty table");
    figures(&transaction)
}

fn next_id(connection: &Connection) -> i64 {
    Progress::read(connection).expect("the progress").next_id
}

#[test]
fn a_row_counts_when_it_has_its_status_and_without_one_after_a_while() {
    let connection = database();
    insert(&connection, BEGIN, Some(200));
    let waiting = insert(&connection, BEGIN + 0.1, None);
    insert(&connection, BEGIN + 0.2, Some(200));
    run(&connection, BEGIN + 1.0);
    assert_eq!(next_id(&connection), waiting);
    // Ten seconds have not passed since the row was seen.
    run(&connection, BEGIN + 10.9);
    assert_eq!(next_id(&connection), waiting);
    fill(&connection, waiting);
    run(&connection, BEGIN + 10.95);
    assert_eq!(next_id(&connection), waiting + 2);

    let forever = insert(&connection, BEGIN + 12.0, None);
    run(&connection, BEGIN + 12.0);
    run(&connection, BEGIN + 22.0);
    assert_eq!(next_id(&connection), forever + 1);
    let total = figures(&connection).total;
    assert_eq!(
        (total.requests, total.status.successful, total.status.none),
        (4, 3, 1)
    );
}

#[test]
fn newer_rows_do_not_prolong_the_wait_for_a_status() {
    let connection = database();
    let waiting = insert(&connection, BEGIN, None);
    for seconds in [1.0, 6.0] {
        run(&connection, BEGIN + seconds);
        assert_eq!(next_id(&connection), 0);
        insert(&connection, BEGIN + seconds, Some(200));
    }
    run(&connection, BEGIN + 11.5);
    assert_eq!(next_id(&connection), waiting + 3);
}

#[test]
fn rows_without_a_status_and_a_clock_that_is_set_back_do_not_stop_the_job() {
    let connection = database();
    for round in 0..5 {
        insert(&connection, BEGIN, None);
        run(&connection, BEGIN + f64::from(round) * 60.0);
    }
    assert_eq!(next_id(&connection), 5);
    // The newest rows are gone before the job has added them.
    connection
        .execute("delete from requests where id > 3", [])
        .expect("a deletion");
    run(&connection, BEGIN + 400.0);
    insert(&connection, BEGIN, None);
    run(&connection, BEGIN + 460.0);
    run(&connection, BEGIN - 5000.0);
    assert_eq!(next_id(&connection), 7);
}

#[test]
fn a_step_is_bounded_in_rows_and_in_minutes() {
    let connection = database();
    let sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20001)
        insert into requests (timestamp, method, path, content_length, status) select 60000000.0, 'GET', '/', 0, 200 from n";
    connection.execute(sql, []).expect("rows");
    let step = read(&connection, BEGIN).expect("a step");
    assert!(step.has_more);
    step.write(&connection).expect("sums");
    assert_eq!(next_id(&connection), 20_001);
    for minute in 0..100 {
        insert(&connection, BEGIN + f64::from(minute) * 60.0, Some(200));
    }
    let step = read(&connection, BEGIN).expect("a step");
    assert_eq!((step.minutes.len(), step.has_more), (64, true));
    run(&connection, BEGIN);
    assert_eq!(next_id(&connection), 20_102);
    assert_eq!(figures(&connection).total.requests, 20_001 + 60);
}

#[test]
fn a_step_that_is_written_twice_counts_once() {
    let connection = database();
    insert(&connection, BEGIN, Some(200));
    for step in [read(&connection, BEGIN), read(&connection, BEGIN)] {
        step.expect("a step").write(&connection).expect("sums");
    }
    assert_eq!(figures(&connection).total.requests, 1);
}

#[test]
fn what_retention_deletes_still_counts() {
    let connection = database();
    for second in 0..200 {
        insert(
            &connection,
            BEGIN + f64::from(second),
            Some(200 + i64::from(second)),
        );
    }
    run(&connection, BEGIN + 200.0);
    let before = figures(&connection);
    connection
        .execute("delete from requests where id < 150", [])
        .expect("a deletion");
    assert_eq!(figures(&connection), before);
    assert_eq!(before.total.requests, 200);
}

#[test]
fn a_row_whose_time_is_no_time_counts_nowhere_and_stops_nothing() {
    let connection = database();
    let sql = "insert into requests (timestamp, method, path, content_length, status) values ('never', 'GET', '/', 0, 200), (1e300, 'GET', '/', 0, 200)";
    connection.execute(sql, []).expect("rows");
    insert(&connection, BEGIN, Some(200));
    run(&connection, BEGIN);
    assert_eq!(
        (figures(&connection).total.requests, next_id(&connection)),
        (1, 4)
    );
}

#[test]
fn nothing_new_is_nothing_to_write() {
    let connection = database();
    assert!(!read(&connection, BEGIN).expect("a step").is_news());
    insert(&connection, BEGIN, Some(200));
    run(&connection, BEGIN);
    assert!(!read(&connection, BEGIN + 60.0).expect("a step").is_news());
}

/// A change of the table.
#[derive(Clone, Debug)]
enum Event {
    /// A commit of a request that arrived so many seconds before; with a status, or with one that follows.
    Commit(f64, Option<i64>, bool),
    /// Time goes on, the statuses that follow are written, and the job may run.
    Pass(f64, bool),
}

fn event() -> impl Strategy<Value = Event> {
    let status = prop::option::of(100i64..620);
    prop_oneof![
        (0.0..600.0, status, any::<bool>())
            .prop_map(|(late, status, follows)| Event::Commit(late, status, follows)),
        (1.0..90.0, any::<bool>()).prop_map(|(seconds, runs)| Event::Pass(seconds, runs)),
    ]
}

proptest! {
    #[test]
    fn the_minutes_and_the_new_rows_are_all_rows(events in prop::collection::vec(event(), 1..80)) {
        let connection = database();
        let (mut now, mut open) = (BEGIN, Vec::new());
        for event in events {
            match event {
                Event::Commit(late, status, follows) => {
                    let id = insert(&connection, now - late, status);
                    if status.is_none() && follows {
                        open.push(id);
                    }
                    // A run at the moment of a commit.
                    if follows {
                        run(&connection, now);
                    }
                }
                Event::Pass(seconds, runs) => {
                    // A status follows within a second.
                    now += 1.0;
                    open.drain(..).for_each(|id| fill(&connection, id));
                    now += seconds - 1.0;
                    if runs {
                        run(&connection, now);
                    }
                }
            }
        }
        open.drain(..).for_each(|id| fill(&connection, id));
        prop_assert_eq!(figures(&connection), figures_of_rows(&connection));
        run(&connection, now + 60.0);
        run(&connection, now + 120.0);
        prop_assert_eq!(figures(&connection), figures_of_rows(&connection));
    }
}
