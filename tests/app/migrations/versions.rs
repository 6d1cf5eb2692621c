//! Programs of other versions and names on the same database.

use super::{AUTHORS, NOTES, Project};
use crate::common::command::daybook;
use crate::common::seed;

#[test]
fn an_older_program_works_on_a_newer_database_unless_a_migration_forbids_it() {
    let project = Project::new(&[NOTES, AUTHORS]);
    project.init();
    // Without the newest, and without any.
    project.remove(AUTHORS.0);
    assert_eq!(
        project.init(),
        "requests.db: already at this version's schema\n"
    );
    let run = project.run(&["init"], &[("MIGRATIONS", "none")]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(project.value::<i64>("select version from app_schema"), 2);

    project.write(AUTHORS.0, AUTHORS.1);
    project.write(
        "0003_moved.sql",
        "-- oldest: 2\nalter table notes drop column text;",
    );
    project.write("0004_later.sql", "create table later (a);");
    project.init();
    assert_eq!(project.value::<i64>("select oldest from app_schema"), 2);
    project.remove("0004_later.sql");
    project.remove("0003_moved.sql");
    assert_eq!(
        project.init(),
        "requests.db: already at this version's schema\n"
    );
    project.remove(AUTHORS.0);
    let words = "schema version 4 of \"guestbook\" needs a program that knows version 2 or newer, and this one knows 1: run a newer guestbook";
    project.is_refused(&[], words);
    project.is_refused(&[("MIGRATIONS", "none")], "and this one knows 0");
}

#[test]
fn another_application_s_database_is_refused() {
    let project = Project::new(&[NOTES]);
    project.init();
    let words = |program: &str| {
        format!(
            "this is the database of the application \"guestbook\", and this program is \"{program}\": set database.path to another file"
        )
    };
    project.is_refused(&[("APPLICATION", "links")], &words("links"));
    project.is_refused(
        &[("APPLICATION", "links"), ("MIGRATIONS", "none")],
        &words("links"),
    );
    let run = daybook(
        project.path().parent().expect("a directory"),
        &["init"],
        &[],
    );
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    assert!(
        run.error_line().contains(&words("daybook")),
        "{}",
        run.stderr
    );
}

#[test]
fn a_table_of_that_name_with_other_columns_is_refused() {
    let project = Project::new(&[NOTES]);
    seed::create(&project.path())
        .execute_batch("create table app_schema (a)")
        .expect("a table");
    project.is_refused(&[], "its table `app_schema` is not daybook's");
}

#[test]
fn an_application_without_migrations_writes_no_tables_of_them() {
    let project = Project::new(&[]);
    for migrations in ["none", "migrations"] {
        let run = project.run(&["init"], &[("MIGRATIONS", migrations)]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let tables = "select count(*) from sqlite_schema where name like 'app%'";
        assert_eq!(project.value::<i64>(tables), 0);
    }
    // They can come later.
    project.write(NOTES.0, NOTES.1);
    assert!(project.init().contains("migrations/0001_notes.sql"));
}

#[test]
fn the_seed_s_application_writes_beside_the_application_s_tables() {
    let project = Project::new(&[NOTES]);
    seed::create_with_rows(&project.path());
    assert!(project.init().contains("migrations/0001_notes.sql"));
    let seed = seed::connect(&project.path());
    assert_eq!(seed::record(&seed, "/new"), 4);
    // And daybook goes on with it.
    let run = project.run(&["init"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}
