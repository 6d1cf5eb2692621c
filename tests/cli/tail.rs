//! `daybook tail`.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::common::process::{DAYBOOK, Process, remove_variables};
use crate::common::server::Server;
use crate::common::syncs::Syncs;
use crate::common::{TIMEOUT, db, eventually, seed};

/// A running `daybook tail`, or a shell that runs one.
struct Tail {
    process: Process,
    output: Arc<Mutex<String>>,
    errors: Arc<Mutex<String>>,
}

/// Keeps the text that comes from a pipe.
fn collect(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let output = Arc::new(Mutex::new(String::new()));
    let text = output.clone();
    thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = pipe.read(&mut part) {
            let mut text = text.lock().expect("the output");
            text.push_str(&String::from_utf8_lossy(&part[..n]));
        }
    });
    output
}

impl Tail {
    fn start(database: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(DAYBOOK);
        command.arg("tail").args(arguments);
        Self::spawn(command, database)
    }

    fn spawn(mut command: Command, database: &Path) -> Self {
        remove_variables(&mut command);
        command
            .env("DAYBOOK_DATABASE__PATH", database)
            .current_dir(database.parent().expect("a directory"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        let output = collect(process.child().stdout.take().expect("a pipe"));
        let errors = collect(process.child().stderr.take().expect("a pipe"));
        Self {
            process,
            output,
            errors,
        }
    }

    fn output(&self) -> String {
        self.output.lock().expect("the output").clone()
    }

    fn errors(&self) -> String {
        self.errors.lock().expect("the errors").clone()
    }

    /// Sends requests until it shows one of them; returns what it shows by then.
    fn wait_until_it_shows(&self, server: &Server, path: &str) -> String {
        eventually("the tail shows the request", TIMEOUT, || {
            server.get(path);
            Some(self.output()).filter(|output| output.contains(path))
        })
    }
}

#[test]
fn it_shows_requests_of_the_file_and_of_a_replica_without_colours_in_a_pipe() {
    let server = Server::with(|c| {
        let socket = c.path("admin.sock");
        c.set(
            "admin.listen",
            format!("[\"127.0.0.1:0\", \"unix:{}\"]", socket.display()),
        );
    });
    let url = format!("http://{}", server.admin());
    let unix = server.admin_listen()[1].clone();
    for arguments in [&[][..], &["--admin", &url], &["--admin", &unix]] {
        let tail = Tail::start(server.database_path(), arguments);
        let output = tail.wait_until_it_shows(&server, "/shown");
        let line = output.lines().next().expect("a line");
        assert!(
            line.contains("  200 ") && line.contains("GET    /shown  127.0.0.1 #"),
            "{line}"
        );
        assert!(!output.contains('\u{1b}'), "{output:?}");
    }
}

#[test]
fn it_has_colours_on_a_terminal() {
    let server = Server::start();
    for (no_color, has_colours) in [("", true), ("1", false)] {
        let mut script = Command::new("script");
        let command = format!("{DAYBOOK} tail");
        script.args([
            "--quiet",
            "--flush",
            "--return",
            "--command",
            &command,
            "/dev/null",
        ]);
        script.env("TERM", "xterm").env("NO_COLOR", no_color);
        let tail = Tail::spawn(script, server.database_path());
        let output = tail.wait_until_it_shows(&server, "/shown");
        assert_eq!(
            output.contains("\u{1b}[32m200\u{1b}[0m"),
            has_colours,
            "{output:?}"
        );
        tail.process.signal("TERM");
    }
}

#[test]
fn filters_and_json() {
    let server = Server::start();
    let url = format!("http://{}", server.admin());
    for source in [&[][..], &["--admin", &url]] {
        let flags = [
            "--json",
            "--path-prefix",
            "/a+b&c",
            "--method",
            "GET",
            "--since",
            "1h",
        ];
        let tail = Tail::start(server.database_path(), &[source, &flags].concat());
        let output = eventually("the tail shows the request", TIMEOUT, || {
            server.get("/other");
            server.get("/a+b&c/1");
            Some(tail.output()).filter(|output| output.ends_with('\n'))
        });
        for line in output.lines() {
            let event: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(event["event"], "request", "{event}");
            let id = event["id"].as_i64().expect("an id");
            let mut record = server.get_admin(&format!("/requests/{id}")).json();
            assert_eq!(record["path"], "/a+b&c/1");
            record["event"] = "request".into();
            assert_eq!(event, record);
        }
    }
}

#[test]
fn a_database_without_the_later_columns_is_followed_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("requests.db");
    seed::create_with_rows(&database);
    let seed = seed::connect(&database);
    let tail = Tail::start(&database, &["--json", "--status", "none"]);
    let output = eventually("the tail shows a record", TIMEOUT, || {
        seed::record(&seed, "/new");
        Some(tail.output()).filter(|output| output.ends_with('\n'))
    });
    let event: Value = serde_json::from_str(output.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&event["event"], &event["path"]),
        (&"request".into(), &"/new".into())
    );
    assert!(
        event["id"].as_i64() > Some(3) && event["status"].is_null(),
        "{event}"
    );
    let columns: i64 = seed
        .query_row(
            "select count(*) from pragma_table_info('requests')",
            [],
            |row| row.get(0),
        )
        .expect("counting");
    assert_eq!(columns, 6);
}

#[test]
fn it_ends_quietly_when_its_reader_has_gone() {
    let server = Server::start();
    let mut shell = Command::new("bash");
    let script = format!("set -o pipefail; {DAYBOOK} tail 2>errors | head -n 1");
    shell.args(["-c", &script]);
    let mut tail = Tail::spawn(shell, server.database_path());
    let status = eventually("it has ended", TIMEOUT, || {
        server.get("/shown");
        tail.process.exit_status()
    });
    assert!(status.success(), "{status}");
    assert_eq!(tail.output().lines().count(), 1);
    let errors = std::fs::read_to_string(server.dir().join("errors")).expect("the file");
    assert_eq!(errors, "");
}

#[test]
fn it_connects_again_after_a_restart_of_the_replica() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("requests.db");
    let socket = format!("unix:{}", directory.path().join("admin.sock").display());
    let start = || {
        Server::with(|c| {
            c.text("admin.listen", &socket);
            c.text("database.path", database.display());
        })
    };
    let mut server = start();
    let tail = Tail::start(&database, &["--admin", &socket]);
    tail.wait_until_it_shows(&server, "/before");
    server.signal("TERM");
    server.wait_exit(TIMEOUT);
    let missed = seed::record(&seed::connect(&database), "/missed");
    eventually("it has tried to connect meanwhile", TIMEOUT, || {
        let errors = tail.errors();
        errors.contains("the stream has ended: connecting again")
            && errors
                .lines()
                .filter(|line| line.ends_with(": connecting again"))
                .count()
                > 1
    });
    let server = start();
    let output = tail.wait_until_it_shows(&server, "/after");
    assert!(
        output.contains(&format!("/missed  192.0.2.1 #{missed}")),
        "{output}"
    );
}

#[test]
fn at_full_a_request_of_the_file_and_its_late_outcome_are_shown_after_a_sync() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("requests.db");
    drop(Server::with(|c| {
        c.text("database.path", database.display());
    }));
    let syncs = Syncs::new();
    let mut command = Command::new(DAYBOOK);
    command.args(["tail", "--json"]).envs(syncs.environment());
    command.env("DAYBOOK_DATABASE__SYNCHRONOUS", "full");
    let tail = Tail::spawn(command, &database);
    let foreign = db::open(&database);
    let run = |sql: &str| foreign.execute_batch(sql).expect("another process's write");
    run("pragma synchronous = off");
    let first = "insert into requests (timestamp, method, path, content_length, status) values (1, 'GET', '/', 0, 200)";
    eventually("it shows a request", TIMEOUT, || {
        run(first);
        !tail.output().is_empty()
    });
    let unfinished = "insert into requests (timestamp, method, path, content_length) values (1, 'GET', '/late', 0)";
    let outcome = "update requests set status = 204 where path = '/late'";
    for (write, shown) in [(unfinished, "/late"), (outcome, "204")] {
        let before = syncs.count();
        run(write);
        eventually("it shows the change", TIMEOUT, || {
            tail.output().contains(shown)
        });
        assert!(
            syncs.count() > before,
            "{shown}: it was shown before a sync"
        );
    }
}
