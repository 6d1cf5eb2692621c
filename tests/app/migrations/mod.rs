//! The application's own tables: what runs, in which order, and which files and databases are refused.

mod mistakes;
mod versions;

use std::fs;
use std::path::PathBuf;

use axum::Router;
use daybook::{App, Migrations, RequestStore};
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

use crate::common::command::{Run, run};
use crate::common::db;
use crate::common::in_process::InProcessServer;
use crate::common::program::application;

const NOTES: (&str, &str) = (
    "0001_notes.sql",
    "create table notes (id integer primary key, text text not null);",
);
const AUTHORS: (&str, &str) = (
    "0002_authors.sql",
    "alter table notes add column author text;",
);

/// A directory with migrations, and the database of the program that they are compiled into.
struct Project(TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("migrations")).expect("a directory");
        let project = Self(dir);
        for (name, sql) in files {
            project.write(name, sql);
        }
        project
    }

    fn write(&self, name: &str, sql: impl AsRef<[u8]>) {
        fs::write(self.0.path().join("migrations").join(name), sql).expect("writing a migration");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join("migrations").join(name)).expect("removing a migration");
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        let mut variables = vec![
            ("MIGRATIONS", "migrations"),
            ("DAYBOOK_LISTEN", "127.0.0.1:0"),
        ];
        variables.push(("DAYBOOK_ADMIN__LISTEN", "127.0.0.1:0"));
        variables.extend(environment);
        run(application(), self.0.path(), arguments, &variables)
    }

    /// Runs `init`, which succeeds, and returns what it prints.
    fn init(&self) -> String {
        let run = self.run(&["init"], &[]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout
    }

    /// Asserts that `init` and `serve` refuse to start with these words, and leave the database as it was, byte for byte.
    fn is_refused(&self, environment: &[(&str, &str)], words: &str) {
        let before = fs::read(self.path()).ok();
        for subcommand in ["init", "serve"] {
            let run = self.run(&[subcommand], environment);
            assert_eq!(run.code, Some(78), "{words}: {subcommand}: {}", run.stderr);
            // The log may come first.
            let error = run.stderr.lines().last().unwrap_or_default();
            assert!(error.contains(words), "{words} is not in: {}", run.stderr);
            assert!(
                fs::read(self.path()).ok() == before,
                "{words}: {subcommand} has changed it"
            );
        }
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("requests.db")
    }

    fn database(&self) -> Connection {
        db::open(&self.path())
    }

    /// The only value of a query.
    fn value<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        let value = self.database().query_row(sql, [], |row| row.get(0));
        value.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

/// The name of each step in the output of `init`, and its last line.
fn steps(output: &str) -> (Vec<&str>, &str) {
    let mut lines: Vec<_> = output.lines().collect();
    let last = lines.pop().expect("a line");
    let name = |line: &&'_ str| line.rsplit_once(": ").expect("a name and a time").0.len();
    (lines.iter().map(|line| &line[..name(line)]).collect(), last)
}

#[test]
fn init_runs_what_has_not_run_yet_in_order_and_prints_it() {
    let project = Project::new(&[NOTES]);
    project.write(".gitkeep", "");
    let output = project.init();
    let first = [
        "daybook's schema 1",
        "daybook's schema 2",
        "migrations/0001_notes.sql",
    ];
    assert_eq!(steps(&output), (first.to_vec(), "requests.db: created"));

    project.write(AUTHORS.0, AUTHORS.1);
    // A pragma that only reads is allowed.
    project.write(
        "0003_filled.sql",
        "insert into notes (text, author) values ('a', 'b'); create index i on requests (path);
         pragma foreign_key_check;",
    );
    let output = project.init();
    let (names, last) = steps(&output);
    assert_eq!(
        names,
        ["migrations/0002_authors.sql", "migrations/0003_filled.sql"]
    );
    assert_eq!(last, "requests.db: migrated to this version's schema");
    assert_eq!(
        project.init(),
        "requests.db: already at this version's schema\n"
    );

    assert_eq!(project.value::<String>("select author from notes"), "b");
    let row = "select name || ' ' || version || ' ' || oldest from app_schema";
    assert_eq!(project.value::<String>(row), "guestbook 3 0");
    let first = "select version || ' ' || name || ' ' || sha256 from app_migrations order by version limit 1";
    // As `sha256sum` prints it.
    let sha256 = "a7fba25dc64a751a3818af3c80493a292c16b4d2ce42bef9c480a120558bfacd";
    assert_eq!(
        project.value::<String>(first),
        format!("1 0001_notes.sql {sha256}")
    );
    let recent = "select count(*) from app_migrations where applied_at between unixepoch() - 600 and unixepoch() + 1";
    assert_eq!(project.value::<i64>(recent), 3);
    assert_eq!(
        project.value::<i64>("select version from daybook_schema"),
        2
    );
}

#[test]
fn files_of_a_directory_are_compiled_in() {
    let dir = tempdir().expect("a temporary directory");
    let run = run(application(), dir.path(), &["init"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let (names, _) = steps(&run.stdout);
    let files = [
        "tests/programs/migrations/0001_notes.sql",
        "tests/programs/migrations/0002_authors.sql",
    ];
    assert_eq!(names[2..], files);
}

#[test]
fn serve_migrates_and_handlers_have_their_tables_and_foreign_keys() {
    let write = async |store: RequestStore, sql: String| {
        let write = store.write(move |tx| tx.execute_batch(&sql)).await;
        write.map_or_else(|error| error.to_string(), |()| "written".to_owned())
    };
    let files = [
        NOTES,
        (
            "0002_tags.sql",
            "create table tags (note integer not null references notes, text text);",
        ),
    ];
    let files = files.map(|(name, sql)| (name.to_owned(), sql.as_bytes().to_vec()));
    let app = App::new("test", move |_| Ok(Router::new().fallback(write)));
    let server = InProcessServer::start_app(app.migrations(Migrations::from_files(files)), &[]);
    assert_eq!(
        server
            .post("/", "insert into notes (text) values ('a')")
            .text(),
        "written"
    );
    assert_eq!(
        server.post("/", "insert into tags values (1, 'b')").text(),
        "written"
    );
    let broken = server.post("/", "insert into tags values (2, 'c')");
    assert!(
        broken.text().contains("FOREIGN KEY constraint failed"),
        "{}",
        broken.text()
    );
    let both =
        "select count(*) from notes join tags on note = notes.id join requests on path = '/'";
    let found: i64 = server
        .database()
        .query_row(both, [], |row| row.get(0))
        .expect("rows");
    assert_eq!(found, 3);
}

#[test]
fn programs_that_start_together_migrate_once() {
    let project = Project::new(&[NOTES, AUTHORS]);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| project.init())).collect();
        let outputs: Vec<_> = runs
            .into_iter()
            .map(|run| run.join().expect("no panic"))
            .collect();
        let created = outputs
            .iter()
            .filter(|output| output.contains("0002_authors.sql"))
            .count();
        assert_eq!(created, 1, "{outputs:?}");
    });
    assert_eq!(
        project.value::<i64>("select count(*) from app_migrations"),
        2
    );
}

#[test]
fn a_table_that_is_made_anew_keeps_the_rows_that_refer_to_it() {
    let tags = "create table tags (note integer not null references notes on delete cascade);
        insert into notes values (1, 'a');
        insert into tags values (1);";
    let project = Project::new(&[NOTES, ("0002_tags.sql", tags)]);
    project.init();
    let anew = "create table new (id integer primary key, text text not null check (text <> ''));
        insert into new select * from notes;
        drop table notes;
        alter table new rename to notes;";
    project.write("0003_anew.sql", anew);
    project.init();
    assert_eq!(
        project.value::<i64>("select count(*) from tags join notes on id = note"),
        1
    );
}

#[test]
fn migrations_beyond_the_deadline_are_undone_unless_downtime_is_allowed() {
    let slow = "create table numbers as
        with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000) select i from n;";
    let deadline = [("DAYBOOK_COMMIT__DEADLINE", "1ms")];
    let project = Project::new(&[NOTES]);
    // A database that does not exist yet, and one that does.
    for file in ["0002_slow.sql", "0003_slower.sql"] {
        project.write(file, slow.replace("numbers", &file[5..file.len() - 4]));
        project.is_refused(&deadline, &format!("migrations/{file}: stopped"));
        let run = project.run(&["init"], &deadline);
        assert!(
            run.stderr.contains("longer than commit.deadline, 1ms"),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("run `guestbook init --allow-downtime`"),
            "{}",
            run.stderr
        );
        let run = project.run(&["init", "--allow-downtime"], &deadline);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(
            run.stdout.contains(&format!("migrations/{file}: ")),
            "{}",
            run.stdout
        );
    }
    assert_eq!(project.value::<i64>("select count(*) from slow"), 20_000);
}
