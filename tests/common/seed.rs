//! The seed: the application that defined the table `requests`. daybook adopts its file and can run beside it.

use std::path::Path;

use rusqlite::{Connection, params};

const TABLE: &str = "
        create table if not exists requests (
            id integer primary key autoincrement,
            timestamp real not null,
            method text not null,
            path text not null,
            content_length integer not null,
            remote_addr text
        )
    ";

/// Creates the table as the seed does at its start.
pub fn create(database: &Path) -> Connection {
    let connection = Connection::open(database).expect("creating the database");
    connection.execute_batch(TABLE).expect("creating the table");
    connection
}

/// Opens the database as the seed does in each thread.
pub fn connect(database: &Path) -> Connection {
    let connection = Connection::open(database).expect("opening the database");
    for pragma in [
        "journal_mode=WAL",
        "busy_timeout=10000",
        "synchronous=normal",
        "temp_store=memory",
    ] {
        connection
            .execute_batch(&format!("pragma {pragma}"))
            .expect("a pragma");
    }
    connection
}

/// Records a request as the seed does; returns its id.
pub fn record(connection: &Connection, path: &str) -> i64 {
    let sql = "insert into requests (timestamp, method, path, content_length, remote_addr) values (?, ?, ?, ?, ?)";
    connection
        .execute_batch("begin immediate")
        .expect("beginning");
    connection
        .execute(sql, params![1.5e9, "GET", path, 0, "192.0.2.1"])
        .expect("inserting");
    connection.execute_batch("commit").expect("committing");
    connection.last_insert_rowid()
}

/// Creates a file of the seed with three rows: `/old/1`, `/old/2`, `/old/3`.
pub fn create_with_rows(database: &Path) {
    create(database);
    let connection = connect(database);
    for n in 1..=3 {
        assert_eq!(record(&connection, &format!("/old/{n}")), n);
    }
}
