//! Accepted and refused database files. A refusal exits with 78 and a clear line, and leaves the files unchanged.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{database_path, replica};
use crate::common::command::daybook;
use crate::common::config::Config;
use crate::common::seed;
use crate::common::server::{Server, fails_to_start};
use rusqlite::Connection;

/// Asserts that the start fails, and that the first line names the file, or the missing directory, and has one of `words`.
fn assert_refused_with(database: &Path, words: &[&str], configure: impl FnOnce(&mut Config)) {
    let failure = fails_to_start(|c| {
        c.text("database.path", database.display());
        configure(c);
    });
    let first = failure
        .stderr
        .lines()
        .next()
        .unwrap_or_default()
        .to_lowercase();
    assert_eq!(failure.code, Some(78), "{}", failure.stderr);
    let directory = database.parent().expect("its directory");
    let name = if directory.exists() {
        database
    } else {
        directory
    };
    let name = name.display().to_string().to_lowercase();
    assert!(
        first.contains(&name),
        "the first line does not name the file: {first}"
    );
    assert!(
        words.iter().any(|word| first.contains(word)),
        "none of {words:?} in: {first}"
    );
}

/// Asserts that the start fails and leaves the file unchanged.
fn assert_refused(database: &Path, words: &[&str]) {
    let before = fs::read(database).expect("reading the file");
    assert_refused_with(database, words, |_| ());
    assert!(
        fs::read(database).expect("reading the file") == before,
        "the file was changed"
    );
}

/// Creates a daybook database of several pages and closes it.
fn create_database(database: &Path) {
    let dir = database.parent().expect("its directory");
    let path = database.display().to_string();
    let run = daybook(dir, &["init"], &[("DAYBOOK_DATABASE__PATH", &path)]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let connection = seed::connect(database);
    for n in 0..20 {
        seed::record(&connection, &format!("/{n}/{}", "x".repeat(2000)));
    }
}

fn execute(database: &Path, sql: &str) {
    let connection = Connection::open(database).expect("opening the database");
    connection.execute_batch(sql).expect("executing SQL");
}

#[test]
fn a_missing_file_is_refused_without_database_create() {
    let (_dir, path) = database_path();
    assert_refused_with(&path, &["create"], |c| {
        c.set("database.create", false);
    });
    assert!(!path.exists(), "it was created");
}

#[test]
fn an_existing_file_is_opened_without_database_create() {
    let (_dir, path) = database_path();
    create_database(&path);
    let server = Server::with(|c| {
        c.text("database.path", path.display())
            .set("database.create", false);
    });
    assert_eq!(server.get("/").record_id(), Some(21));
}

#[test]
fn a_missing_directory_is_refused() {
    let (dir, _) = database_path();
    assert_refused_with(
        &dir.path().join("nowhere/requests.db"),
        &["directory"],
        |_| (),
    );
    assert!(!dir.path().join("nowhere").exists(), "it was created");
}

#[test]
fn another_programs_database_is_refused() {
    for sql in [
        // Recognized by the application id, with and without tables.
        "pragma application_id = 252006674; create table notes(text)",
        "pragma application_id = 252006674; vacuum",
        // Recognized by the tables.
        "create table notes(id integer primary key, text text)",
    ] {
        let (_dir, path) = database_path();
        execute(&path, sql);
        assert_refused(&path, &["not", "foreign", "another", "other"]);
    }
}

#[test]
fn a_table_requests_of_another_shape_is_refused() {
    let columns = "id integer primary key autoincrement, timestamp real not null, method text not null, path text not null";
    for shape in [
        // A column is missing, added, renamed, of another type, nullable.
        format!("{columns}, content_length integer not null"),
        format!(
            "{columns}, content_length integer not null, remote_addr text, user_agent text not null"
        ),
        format!("{columns}, length integer not null, remote_addr text"),
        format!("{columns}, content_length text not null, remote_addr text"),
        format!("{columns}, content_length integer, remote_addr text"),
        // Without autoincrement an id may be used again.
        format!(
            "{}, content_length integer not null, remote_addr text",
            columns.replace(" autoincrement", "")
        ),
    ] {
        let (_dir, path) = database_path();
        execute(&path, &format!("create table requests({shape})"));
        assert_refused(&path, &["other columns"]);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let (_dir, path) = database_path();
    fs::write(&path, "Dear diary, today it rained.\n".repeat(500)).expect("writing");
    assert_refused(&path, &["not", "damaged"]);
}

#[test]
fn a_truncated_file_is_refused() {
    for length in [50, 4096, 4096 + 2000] {
        let (_dir, path) = database_path();
        create_database(&path);
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(length))
            .expect("truncating");
        assert_refused(
            &path,
            &["damaged", "malformed", "corrupt", "truncated", "restore"],
        );
    }
}

#[test]
fn a_file_with_a_damaged_header_is_refused() {
    // The magic number, and the header of the schema's page.
    for offset in [0, 100] {
        let (_dir, path) = database_path();
        create_database(&path);
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.write_all_at(&[0xA5; 16], offset))
            .expect("damaging");
        assert_refused(
            &path,
            &[
                "damaged",
                "malformed",
                "corrupt",
                "not a database",
                "restore",
            ],
        );
    }
}

#[test]
fn an_empty_file_is_a_new_database() {
    let (_dir, path) = database_path();
    File::create(&path).expect("creating an empty file");
    assert_eq!(replica(&path).get("/").record_id(), Some(1));
}

#[test]
fn a_schema_too_new_for_this_version_is_refused() {
    let (_dir, path) = database_path();
    create_database(&path);
    execute(
        &path,
        "update daybook_schema set version = 100, oldest = 99",
    );
    assert_refused_with(&path, &["newer", "too new", "version", "upgrade"], |_| ());
    let run = daybook(
        path.parent().expect("its directory"),
        &["init"],
        &[("DAYBOOK_DATABASE__PATH", &path.display().to_string())],
    );
    assert_eq!(run.code, Some(78), "{}", run.stderr);
}

#[test]
fn a_newer_compatible_schema_is_opened_unchanged() {
    let (_dir, path) = database_path();
    create_database(&path);
    execute(
        &path,
        "update daybook_schema set version = 100, oldest = 1; alter table requests add column later text",
    );
    let server = replica(&path);
    assert_eq!(server.get("/").record_id(), Some(21));
    let versions: (i64, i64) = server
        .db()
        .query_row("select version, oldest from daybook_schema", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("the schema's version");
    assert_eq!(versions, (100, 1));
}

#[test]
fn a_copy_from_an_sql_dump_without_application_id_is_still_recognized() {
    let (_dir, path) = database_path();
    create_database(&path);
    execute(&path, "pragma application_id = 0");
    let server = replica(&path);
    assert_eq!(server.get("/").record_id(), Some(21));
    let id: i32 = server
        .db()
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .expect("its id");
    assert_eq!(id, 0x6461_7962);
    drop(server);
    execute(
        &path,
        "pragma application_id = 0; update daybook_schema set version = 100, oldest = 99",
    );
    assert_refused(&path, &["newer", "too new", "version", "upgrade"]);
}

#[test]
fn a_newer_versions_copy_without_its_application_id_is_judged_by_its_table() {
    for (change, is_taken) in [
        ("alter table requests add column later text", true),
        ("alter table requests drop column remote_addr", false),
    ] {
        let (_dir, path) = database_path();
        create_database(&path);
        execute(
            &path,
            &format!(
                "pragma application_id = 0; update daybook_schema set version = 100, oldest = 1; {change}"
            ),
        );
        match is_taken {
            true => assert_eq!(replica(&path).get("/").record_id(), Some(21)),
            false => assert_refused(&path, &["other columns"]),
        }
    }
}

#[test]
fn a_daybook_file_without_its_table_is_damaged() {
    let (_dir, path) = database_path();
    create_database(&path);
    execute(&path, "drop table requests");
    assert_refused(&path, &["damaged", "requests", "restore"]);
}
