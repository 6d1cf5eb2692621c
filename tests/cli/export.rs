//! `daybook export`.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::on;
use crate::common::command::{copy_program, daybook};
use crate::common::process::{DAYBOOK, Process, remove_variables};
use crate::common::server::Server;
use crate::common::syncs::Syncs;
use crate::common::{TIMEOUT, db, seed};

/// A server with that many records.
fn start_with_rows(n: u32) -> Server {
    let server = Server::start();
    db::add_rows(&server.db(), n, 0);
    server
}

fn export(database: &Path, arguments: &[&str]) -> String {
    let run = on(database, &[&["export", "--format"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stdout
}

fn ids(ndjson: &str) -> Vec<i64> {
    let id = |line| -> Option<i64> { serde_json::from_str::<Value>(line).ok()?["id"].as_i64() };
    ndjson.lines().map(|line| id(line).expect("JSON")).collect()
}

#[test]
fn an_export_has_the_rows_of_the_table_in_both_formats() {
    let server = start_with_rows(4500);
    server
        .db()
        .execute_batch(
            "insert into requests values (900000, 'x', '=1+1', 'a \"b\", c', 'many', null, null, null);
             insert into requests values (9000000000, 1.5, 'GET', '/far', 0, '::1', 404, 7);",
        )
        .expect("rows of another program, and a large gap");
    let ndjson = export(server.database_path(), &["ndjson"]);
    let csv = export(server.database_path(), &["csv"]);
    let mut csv = csv::Reader::from_reader(csv.as_bytes());
    let names = csv.headers().expect("a header").clone();
    let mut rows = 0;
    for (line, cells) in ndjson.lines().zip(csv.records()) {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let id = record["id"].as_i64().expect("an id");
        if id != 900_000 && id % 500 == 0 {
            let api = server.get_admin(&format!("/requests/{id}"));
            assert_eq!(record, api.json());
        }
        let cells = cells.expect("a record");
        for (name, cell) in names.iter().zip(&cells) {
            let value = match &record[name] {
                Value::Null => String::new(),
                Value::String(text) if text.starts_with('=') => format!("'{text}"),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell, value, "{name} of {id}");
        }
        rows += 1;
    }
    assert_eq!(rows, server.rows());
    let ids = ids(&ndjson);
    assert!(ids.is_sorted() && ids.len() == 4502, "{}", ids.len());
}

#[test]
fn filters_and_a_first_id() {
    let server = start_with_rows(50);
    let exported = |arguments: &[&str]| {
        ids(&export(
            server.database_path(),
            &[&["ndjson"], arguments].concat(),
        ))
    };
    assert_eq!(exported(&["--status", "500", "--q", "/4"]), [43, 47]);
    assert_eq!(
        exported(&["--since", "1700000045", "--until", "1700000047"]),
        [45, 46]
    );
    assert_eq!(exported(&["--after", "48"]), [49, 50]);
    assert!(exported(&["--after", "999"]).is_empty());
    assert!(exported(&["--method", "POST"]).is_empty());
}

#[test]
fn a_replica_gives_the_same_export_as_the_file() {
    let server = start_with_rows(2500);
    let url = format!("http://{}", server.admin());
    for filter in [
        &[][..],
        &["--status", "5xx"],
        &["--q", "/24", "--after", "1000"],
    ] {
        for format in ["csv", "ndjson"] {
            let file = export(server.database_path(), &[&[format], filter].concat());
            let admin = ["--admin", &url];
            let replica = export(
                server.database_path(),
                &[&[format], filter, &admin].concat(),
            );
            assert!(
                file == replica && file.lines().count() >= 100,
                "{format} {filter:?}"
            );
        }
    }
}

#[test]
fn the_same_command_again_continues_the_file() {
    let server = start_with_rows(3000);
    let file = server.dir().join("requests.out");
    for format in ["ndjson", "csv"] {
        let _ = fs::remove_file(&file);
        let arguments = [format, "--output", file.to_str().expect("text")];
        let run = || {
            assert_eq!(export(server.database_path(), &arguments), "");
            fs::read_to_string(&file).expect("the export")
        };
        let whole = run();
        assert_eq!(whole, export(server.database_path(), &[format]));
        // Wherever it was cut, it becomes whole again.
        for cut in [0, 3, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..cut]).expect("cutting the file");
            assert!(run() == whole, "{format} {cut}");
        }
        assert!(run() == whole, "{format}: a complete export changes");
        db::add_rows(&server.db(), 10, 0);
        let longer = run();
        assert!(longer.starts_with(&whole), "{format}");
        assert_eq!(longer.lines().count(), whole.lines().count() + 10);
    }
}

#[test]
fn a_file_that_is_no_export_is_left_alone() {
    let server = start_with_rows(1);
    let file = server.dir().join("precious.txt");
    fs::write(&file, "precious\n").expect("a file");
    for format in ["ndjson", "csv"] {
        let path = file.to_str().expect("text");
        let run = on(
            server.database_path(),
            &["export", "--format", format, "--output", path],
        );
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.error_line().contains("precious.txt"), "{}", run.stderr);
    }
    assert_eq!(fs::read_to_string(&file).expect("the file"), "precious\n");
}

#[test]
fn a_database_without_the_later_columns_is_exported_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("requests.db");
    seed::create_with_rows(&database);
    let bytes = fs::read(&database).expect("the file");
    let csv = export(&database, &["csv", "--since", "1"]);
    assert!(
        csv.contains("\n3,2017-07-14T02:40:00.000000Z,GET,/old/3,0,192.0.2.1,,\n"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 4);
    assert!(
        fs::read(&database).expect("the file") == bytes,
        "the file has changed"
    );
    assert!(!directory.path().join("requests.db.lock").exists());
}

#[test]
fn it_ends_quietly_when_its_reader_has_gone() {
    let server = start_with_rows(20_000);
    let script = format!("set -o pipefail; {DAYBOOK} export --format ndjson 2>errors | head -n 1");
    let mut shell = Command::new("bash");
    remove_variables(&mut shell);
    shell
        .args(["-c", &script])
        .env("DAYBOOK_DATABASE__PATH", server.database_path())
        .current_dir(server.dir())
        .stdout(Stdio::piped());
    let output = shell.output().expect("running the shell");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(ids(&String::from_utf8_lossy(&output.stdout)), [1]);
    let errors = fs::read_to_string(server.dir().join("errors")).expect("the file");
    assert_eq!(errors, "");
}

#[test]
fn a_progress_bar_is_on_a_terminal_and_a_last_line_is_everywhere() {
    let server = start_with_rows(10_000);
    let run = on(server.database_path(), &["export", "--format", "csv"]);
    assert_eq!(run.stderr, "10,000 records; the last id is 10000\n");
    let mut script = Command::new("script");
    let command = format!("{DAYBOOK} export --format csv --output out.csv");
    remove_variables(&mut script);
    script
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("DAYBOOK_DATABASE__PATH", server.database_path())
        .env("TERM", "xterm")
        .current_dir(server.dir());
    let output = script.output().expect("running script");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for part in [
        "records",
        "/s",
        "left",
        "10,000 records; the last id is 10000",
    ] {
        assert!(text.contains(part), "{part} is not in {text:?}");
    }
}

/// The most memory that the process has had, in bytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .expect("a size")
        * 1024
}

#[test]
fn memory_does_not_grow_with_the_export() {
    const ROWS: u32 = 200_000;
    const GROWTH_MAX: u64 = 16 * 1024 * 1024;
    let server = start_with_rows(ROWS);
    let mut command = Command::new(DAYBOOK);
    remove_variables(&mut command);
    command
        .args(["export", "--format", "ndjson"])
        .env("DAYBOOK_DATABASE__PATH", server.database_path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut process = Process::spawn(&mut command);
    let mut stdout = process.child().stdout.take().expect("a pipe");
    // After some pages it waits for its reader.
    let mut first = vec![0; 2_000_000];
    stdout.read_exact(&mut first).expect("the first pages");
    let early = peak(process.id());
    // All but what the pipe does not hold.
    let mut read = first.len();
    let mut part = vec![0; 65536];
    while read < ROWS as usize * 130 {
        read += stdout.read(&mut part).expect("the next pages");
    }
    let late = peak(process.id());
    assert!(late < early + GROWTH_MAX, "{early} bytes, then {late}");
    let rest = stdout.read_to_end(&mut part).expect("the rest");
    assert!(rest > 65536, "it was not at its end when it was measured");
    assert!(process.wait_exit(TIMEOUT).success());
}

#[test]
fn records_that_cannot_be_synced_are_not_exported() {
    let server = start_with_rows(2);
    let syncs = Syncs::new();
    syncs.fail_syncs();
    let mut environment = syncs.environment();
    let path = server.database_path().to_str().expect("text").to_owned();
    environment.push(("DAYBOOK_DATABASE__PATH", path));
    let environment: Vec<_> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let run = daybook(
        server.dir(),
        &["export", "--format", "ndjson", "--config", "/dev/null"],
        &environment,
    );
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(
        run.error_line().contains("-wal: Input/output error"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_user_who_may_only_read_the_database_can_export_it() {
    let server = start_with_rows(2);
    let program = copy_program(server.dir());
    for file in ["", "-wal", "-shm"] {
        let path = format!("{}{file}", server.database_path().display());
        fs::set_permissions(path, Permissions::from_mode(0o644)).expect("setting permissions");
    }
    let output = Command::new(program)
        .args(["export", "--format", "ndjson", "--config", "/dev/null"])
        .env("DAYBOOK_DATABASE__PATH", server.database_path())
        .uid(65534)
        .gid(65534)
        .output()
        .expect("starting daybook");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(ids(&String::from_utf8_lossy(&output.stdout)), [1, 2]);
}
