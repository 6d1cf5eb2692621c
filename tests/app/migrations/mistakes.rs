//! Migrations that cannot run: exit code 78, a clear message, and a database that is as it was.

use super::{AUTHORS, NOTES, Project};

#[test]
fn wrong_files_are_refused_before_there_is_a_database() {
    let create = "create table a (b);";
    for (files, words) in [
        (
            &[("1_a.sql", create)][..],
            "migrations/1_a.sql: this is not a migration's name: write four digits",
        ),
        (
            &[("0001_a.txt", create)],
            "migrations/0001_a.txt: this is not a migration's name",
        ),
        (
            &[("0001_ä.sql", create)],
            "migrations/0001_ä.sql: this is not a migration's name",
        ),
        (
            &[("0001.sql", create)],
            "migrations/0001.sql: this is not a migration's name",
        ),
        (
            &[("0000_a.sql", create)],
            "migrations/0000_a.sql: there is no migration 0001",
        ),
        (
            &[NOTES, ("0003_a.sql", create)],
            "migrations/0003_a.sql: there is no migration 0002: number the files from 0001, without a gap",
        ),
        (
            &[NOTES, ("0001_other.sql", create)],
            "migrations/0001_other.sql: migrations/0001_notes.sql has the same number",
        ),
        (
            &[("0001_a.sql", "-- oldest: new")],
            "migrations/0001_a.sql: \"new\" is not a version",
        ),
        (
            &[("0001_a.sql", "-- oldest: 2")],
            "migrations/0001_a.sql: \"-- oldest: 2\" is not valid: write a version from 0",
        ),
        (
            &[
                ("0001_a.sql", "-- oldest: 1"),
                ("0002_a.sql", "-- oldest: 0"),
            ],
            "migrations/0002_a.sql: \"-- oldest: 0\" is not valid: write a version from 1, as in the migration before, to 2",
        ),
        (
            &[("0001_a.sql", "-- a\n-- oldest: 1")],
            "migrations/0001_a.sql: \"-- oldest: 1\" must be the first line",
        ),
        (
            &[("0001_a.sql", "create table")],
            "migrations/0001_a.sql: incomplete input",
        ),
        (
            &[("0001_a.sql", "drop table requests")],
            "migrations/0001_a.sql: it changes `requests`, which is daybook's",
        ),
    ] {
        let project = Project::new(files);
        project.is_refused(&[], words);
        assert!(!project.path().exists(), "{words}: a database was created");
    }
    let project = Project::new(&[]);
    project.write("0001_a.sql", b"-- \xff");
    project.is_refused(&[], "migrations/0001_a.sql: this is not UTF-8");
}

#[test]
fn a_failing_migration_leaves_the_database_as_it_was() {
    let project = Project::new(&[NOTES]);
    project.init();
    project.database().execute_batch("insert into notes (text) values ('a'); insert into requests values (7, 1.5, 'GET', '/', 0, null, null, null)").expect("a row of each");
    // It ran before the one that fails, and is undone with it.
    project.write(AUTHORS.0, AUTHORS.1);
    for (sql, words) in [
        (
            "create table a (b);\n\ncreat table c (d);",
            ":3: near \"creat\": syntax error",
        ),
        (
            "create table a (b);\ninsert into c values (1);",
            ": no such table: c",
        ),
        (
            "insert into notes (text) values (null);",
            ": NOT NULL constraint failed: notes.text",
        ),
        ("vacuum;", ": cannot VACUUM from within a transaction"),
        ("commit;", ": it begins or ends a transaction: remove that"),
        (
            "begin; create table a (b); commit;",
            ": it begins or ends a transaction",
        ),
        ("rollback;", ": it begins or ends a transaction"),
        ("savepoint a;", ": it begins or ends a transaction"),
        ("release write;", ": it begins or ends a transaction"),
        (
            "attach 'other.db' as other;",
            ": it attaches another database",
        ),
        (
            "pragma journal_mode = delete;",
            ": it uses `pragma journal_mode`",
        ),
        (
            "pragma writable_schema = on;",
            ": it uses `pragma writable_schema`",
        ),
        (
            "delete from requests;",
            ": it changes `requests`, which is daybook's",
        ),
        ("update Requests set path = '';", ": it changes `requests`"),
        (
            "insert into requests select * from requests;",
            ": it changes `requests`",
        ),
        ("drop table requests;", ": it changes `requests`"),
        (
            "alter table requests add column a;",
            ": it changes `requests`",
        ),
        (
            "alter table requests rename to a;",
            ": it changes `requests`",
        ),
        (
            "create trigger a before insert on requests begin select raise(abort, 'no'); end;",
            ": it changes `requests`",
        ),
        (
            "update daybook_schema set version = 9;",
            ": it changes `daybook_schema`",
        ),
        (
            "create table daybook_jobs_of_mine (a);",
            ": it changes `daybook_jobs_of_mine`",
        ),
        (
            "create view daybook_view as select 1;",
            ": it creates `daybook_view`",
        ),
        (
            "delete from app_migrations;",
            ": it changes `app_migrations`",
        ),
        (
            "update app_schema set name = 'a';",
            ": it changes `app_schema`",
        ),
        (
            "update sqlite_sequence set seq = 0;",
            ": they change the ids of `requests`",
        ),
        (
            "create table a (record integer references requests);",
            ": table `a` has a foreign key to `requests`",
        ),
        (
            "create table a (note references notes); insert into a values (9);",
            ": afterwards row 1 of `a` refers to a row of `notes` that does not exist",
        ),
    ] {
        project.write("0003_wrong.sql", sql);
        project.is_refused(&[], &format!("migrations/0003_wrong.sql{words}"));
    }
    project.write("0003_wrong.sql", "create table a (b);");
    project.init();
    assert_eq!(project.value::<i64>("select version from app_schema"), 3);
}

#[test]
fn a_migration_may_use_its_own_triggers_and_sequences() {
    let sql = "create table counted (id integer primary key autoincrement, text text);
        create trigger counts after insert on notes begin insert into counted (text) values (new.text); end;
        insert into notes (text) values ('a');
        create temp table scratch as select * from counted;
        delete from counted;
        drop trigger counts;
        drop table scratch;";
    let project = Project::new(&[
        NOTES,
        ("0002_counted.sql", sql),
        ("0003_dropped.sql", "drop table counted;"),
    ]);
    project.init();
    assert_eq!(project.value::<i64>("select count(*) from notes"), 1);
}

#[test]
fn a_file_that_changed_after_it_ran_is_refused() {
    let project = Project::new(&[NOTES, AUTHORS]);
    project.init();
    project.write(NOTES.0, format!("{} ", NOTES.1));
    project.is_refused(
        &[],
        "migrations/0001_notes.sql: this file has changed since it ran on ",
    );
    project.is_refused(&[], "restore it, and write a new migration for the change");

    project.write(NOTES.0, NOTES.1);
    project
        .database()
        .execute_batch("delete from app_migrations where version = 2")
        .expect("one row less");
    project.is_refused(&[], "its table `app_migrations` has no row for version 2");
}
