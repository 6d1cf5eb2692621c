//! Several replicas, each a process: runs never overlap, and a replica that dies does not stop a job.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use daybook::App;

use super::{Journal, app, every_second, new_database, row, start};
use crate::common::process::{Process, remove_variables};
use crate::common::server::metric;
use crate::common::{TIMEOUT, db, eventually};

/// For a process of this test binary: the database that it serves.
const DATABASE: &str = "TEST_JOBS_DATABASE";
/// And whether its job ends.
const IS_ENDLESS: &str = "TEST_JOBS_IS_ENDLESS";

/// Notes the beginning and the end of each run, with the process's number.
fn app_with_beat(journal: Journal, is_endless: bool) -> App {
    let pid = std::process::id();
    app().job("beat", every_second(), move |_| {
        let journal = journal.clone();
        async move {
            journal.add(&format!("begin {pid}"));
            if is_endless {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            journal.add(&format!("end {pid}"));
            Ok(())
        }
    })
}

/// Not a test: a replica that [`Replica::start`] runs in a process of its own, until its standard input ends.
#[test]
#[ignore = "it is the program of other tests"]
fn replica_process() {
    let Some(database) = std::env::var_os(DATABASE).map(PathBuf::from) else {
        return;
    };
    let is_endless = std::env::var_os(IS_ENDLESS).is_some();
    let app = app_with_beat(Journal::beside(&database), is_endless);
    let path = database.to_str().expect("text");
    let server = daybook::testing::Server::with(
        app,
        &[("database.path", path), ("shutdown.grace", "300ms")],
    );
    println!("\nadmin {}", server.admin_url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    server.stop();
}

struct Replica {
    process: Process,
    admin: String,
}

impl Replica {
    fn start(database: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test binary"));
        remove_variables(&mut command);
        command
            .args([
                "--exact",
                "jobs::replicas::replica_process",
                "--ignored",
                "--nocapture",
            ])
            .env(DATABASE, database)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        let output = process.child().stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let admin = lines
            .find_map(|line| Some(line.strip_prefix("admin http://")?.to_owned()))
            .expect("it starts");
        // Its log goes there, too.
        thread::spawn(move || lines.for_each(drop));
        Self { process, admin }
    }
}

/// The failed runs that these replicas have counted.
fn failures(replicas: &[Replica]) -> f64 {
    let count = |replica: &Replica| {
        metric(
            &replica.admin,
            "daybook_job_failures_total",
            &[("job", "beat")],
        )
    };
    replicas.iter().map(count).sum()
}

/// Asserts that each run of the journal ends before the next begins, except the last ones of the killed processes.
fn assert_no_overlap(lines: &[String], killed: &[u32]) {
    let mut running: Option<&str> = None;
    for line in lines {
        let (event, pid) = line.split_once(' ').expect("an event");
        match (event, running) {
            ("begin", None) => running = Some(pid),
            ("begin", Some(before)) => {
                let was_killed = killed.iter().any(|killed| killed.to_string() == before);
                assert!(was_killed, "{pid} began while {before} ran:\n{lines:#?}");
                running = Some(pid);
            }
            _ => {
                assert_eq!((event, running), ("end", Some(pid)), "{lines:#?}");
                running = None;
            }
        }
    }
}

#[test]
fn of_four_replicas_one_at_a_time_runs_a_job_though_running_ones_are_killed() {
    let (_directory, database, journal) = new_database();
    let mut replicas: Vec<_> = (0..4).map(|_| Replica::start(&database, &[])).collect();
    let mut killed = Vec::new();
    while killed.len() < 2 {
        let runs = journal.lines().len();
        eventually("further runs", TIMEOUT * 3, || {
            journal.lines().len() >= runs + 4
        });
        // Kill one that runs.
        let mut victim = eventually("a replica runs it", TIMEOUT * 3, || {
            let last = journal.lines().pop()?;
            let pid: u32 = last.strip_prefix("begin ")?.parse().expect("a process");
            let is_it = |replica: &Replica| replica.process.id() == pid;
            Some(replicas.remove(replicas.iter().position(is_it)?))
        });
        let failures_before = failures(&replicas);
        victim.process.signal("KILL");
        victim.process.wait_exit(TIMEOUT);
        let pid = victim.process.id();
        let runs_of = |event| journal.count(&format!("{event} {pid}"));
        if runs_of("begin") == runs_of("end") {
            // Its run had just ended.
            replicas.push(Replica::start(&database, &[]));
            continue;
        }
        killed.push(pid);
        // Another replica finds the interrupted run, counts it as a failure, and goes on.
        eventually("the failure is counted", TIMEOUT * 3, || {
            failures(&replicas) > failures_before
        });
    }
    let runs = journal.lines().len();
    eventually("further runs", TIMEOUT * 3, || {
        journal.lines().len() >= runs + 4
    });
    assert_no_overlap(&journal.lines(), &killed);
}

#[test]
fn four_replicas_on_a_new_database_share_its_jobs_and_end_cleanly() {
    let (_directory, database, journal) = new_database();
    let mut replicas: Vec<_> = (0..4).map(|_| Replica::start(&database, &[])).collect();
    eventually("five runs", TIMEOUT * 3, || journal.lines().len() >= 10);
    for replica in &mut replicas {
        drop(replica.process.child().stdin.take());
    }
    for replica in &mut replicas {
        assert!(replica.process.wait_exit(TIMEOUT).success());
    }
    let lines = journal.lines();
    assert_no_overlap(&lines, &[]);
    assert!(
        lines.last().expect("a line").starts_with("end "),
        "{lines:#?}"
    );
    let row = row(&db::open(&database), "beat").expect("its row");
    assert!(row.ended_at.is_some() && row.error.is_none(), "{row:?}");
}

#[test]
fn a_process_that_ends_during_a_run_leaves_the_claim_to_the_next() {
    let (_directory, database, journal) = new_database();
    let mut endless = Replica::start(&database, &[(IS_ENDLESS, "yes")]);
    let pid = endless.process.id();
    journal.wait_for(&format!("begin {pid}"), 1);
    drop(endless.process.child().stdin.take());
    assert!(
        !endless.process.wait_exit(TIMEOUT).success(),
        "its run was interrupted"
    );

    let server = start(app_with_beat(journal.clone(), false), &database);
    journal.wait_for(&format!("end {}", std::process::id()), 1);
    let job = [("job", "beat")];
    assert_eq!(
        metric(&server.admin, "daybook_job_failures_total", &job),
        1.0
    );
}
