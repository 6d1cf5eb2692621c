//! What real clients send is what the database has: curl with odd requests, hey and wrk with many.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use crate::common::server::Server;
use rusqlite::Connection;

/// Runs a client to its end, and returns what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; on Debian: apt-get install {program}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{printed}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.addr())
}

/// Rows with that method, path and length of body.
fn count(database: &Connection, method: &str, path: &str, content_length: i64) -> i64 {
    let sql =
        "select count(*) from requests where method = ?1 and path = ?2 and content_length = ?3";
    database
        .query_row(sql, (method, path, content_length), |row| row.get(0))
        .expect("counting rows")
}

/// One request for curl.
struct Transfer {
    method: &'static str,
    target: String,
    body: usize,
    options: &'static str,
}

/// Every method with every target; bodies of several sizes with those that may have one.
fn transfers() -> Vec<Transfer> {
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MY-OWN",
        "b!z.a#r",
    ];
    let long = format!("/{}", "long/".repeat(800));
    let targets = [
        "/",
        "/plain",
        "/with?query=a/b?c&d=%20#fragment-stays-here",
        "/..",
        "/a/../../etc/passwd",
        "//two//slashes//",
        "/a%20b%2Fc%00",
        "/%E2%9C%93/%e2%9c%93",
        "/%zz/%",
        "/~user/;param=1;x,y/(z)*'!$&+=:@",
        "/.well-known/..;/x",
        &long,
    ];
    let mut transfers = Vec::new();
    for method in methods {
        for target in targets {
            let bodies: &[usize] = match method {
                "HEAD" | "TRACE" => &[0],
                _ => &[0, 1, 1000, 100 << 10],
            };
            for &body in bodies {
                // curl asks before it sends a body that long.
                for options in ["", "http1.0\n", "header = \"Transfer-Encoding: chunked\"\n"] {
                    if (options.starts_with("http1.0") && method != "POST")
                        || (options.starts_with("header") && body == 0)
                    {
                        continue;
                    }
                    transfers.push(Transfer {
                        method,
                        target: target.to_owned(),
                        body,
                        options,
                    });
                }
            }
        }
    }
    for options in ["", "header = \"Transfer-Encoding: chunked\"\n"] {
        transfers.push(Transfer {
            method: "POST",
            target: "/as-long-as-allowed".to_owned(),
            body: 1 << 20,
            options,
        });
    }
    transfers
}

/// Bytes of every value.
fn body(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 256) as u8).collect()
}

/// curl's configuration for all of it: one process, one connection wherever that can be kept.
fn curl_config(server: &Server, transfers: &[Transfer], dir: &Path) -> String {
    let mut config = String::new();
    for (number, transfer) in transfers.iter().enumerate() {
        if number > 0 {
            config.push_str("next\n");
        }
        let _ = write!(
            config,
            "url = \"{}\"\ngloboff\npath-as-is\n{}",
            url(server, &transfer.target),
            transfer.options,
        );
        let _ = match transfer.method {
            "HEAD" => writeln!(config, "head"),
            method => writeln!(config, "request = \"{method}\""),
        };
        if transfer.body > 0 {
            let file = dir.join(format!("body-{}", transfer.body));
            fs::write(&file, body(transfer.body)).expect("writing a body");
            let _ = writeln!(config, "data-binary = \"@{}\"", file.display());
        }
        let _ = write!(
            config,
            "output = \"{}\"\nwrite-out = \"%{{http_code}} %header{{record-id}}\\n\"\n",
            dir.join(format!("response-{number}")).display(),
        );
    }
    config
}

#[test]
fn whatever_curl_sends_comes_back_and_is_in_the_database() {
    let server = Server::start();
    let dir = server.dir();
    let transfers = transfers();
    let config = dir.join("curl.config");
    fs::write(&config, curl_config(&server, &transfers, dir)).expect("writing curl's config");
    let printed = run(
        "curl",
        &["--silent", "--config", config.to_str().expect("a path")],
    );
    let responses: Vec<&str> = printed.lines().collect();
    assert_eq!(responses.len(), transfers.len());
    assert!(responses.len() > 400, "only {}", responses.len());
    for (number, (transfer, response)) in transfers.iter().zip(responses).enumerate() {
        let Transfer { method, target, .. } = transfer;
        let what = format!("{method} {target} with {} bytes", transfer.body);
        let (status, id) = response.split_once(' ').expect("a status and an id");
        assert_eq!(status, "200", "{what}");
        let row = server.row(id.parse().unwrap_or_else(|_| panic!("{what}: id {id:?}")));
        // curl keeps a fragment to itself.
        let path = target.split(['?', '#']).next();
        assert_eq!(
            (
                row.method.as_str(),
                Some(row.path.as_str()),
                row.content_length
            ),
            (*method, path, transfer.body as i64),
            "{what}"
        );
        if *method != "HEAD" {
            let echoed = match fs::read(dir.join(format!("response-{number}"))) {
                // Where no byte comes, curl makes no file.
                Err(e) if e.kind() == ErrorKind::NotFound && transfer.body == 0 => Vec::new(),
                echoed => echoed.unwrap_or_else(|e| panic!("{what}: reading the echo: {e}")),
            };
            assert!(echoed == body(transfer.body), "{what}: the echo differs");
        }
    }
    assert_eq!(server.rows(), transfers.len() as i64);
}

#[test]
fn three_thousand_requests_of_hey_are_three_thousand_rows() {
    let server = Server::start();
    let body = "from hey";
    let url = url(&server, "/hey");
    let printed = run(
        "hey",
        &["-n", "3000", "-c", "50", "-m", "POST", "-d", body, &url],
    );
    assert!(printed.contains("[200]\t3000 responses"), "{printed}");
    assert_eq!(count(&server.db(), "POST", "/hey", body.len() as i64), 3000);
    assert_eq!(server.rows(), 3000);
}

#[test]
fn every_answer_that_wrk_counts_is_a_row() {
    const CONNECTIONS: i64 = 50;
    let server = Server::start();
    let url = url(&server, "/wrk?x=1");
    let printed = run(
        "wrk",
        &[
            "-t2",
            &format!("-c{CONNECTIONS}"),
            "-d2s",
            "--timeout=20s",
            &url,
        ],
    );
    assert!(
        !printed.contains("Non-2xx") && !printed.contains("Socket errors"),
        "{printed}"
    );
    let answered: i64 = printed
        .split_whitespace()
        .zip(printed.split_whitespace().skip(1))
        .find_map(|(number, what)| (what == "requests").then(|| number.parse().ok())?)
        .unwrap_or_else(|| panic!("no count of requests:\n{printed}"));
    assert!(answered > 100, "{printed}");
    let rows = count(&server.db(), "GET", "/wrk", 0);
    // When its time is over, wrk leaves what is under way.
    assert!(
        (answered..=answered + CONNECTIONS).contains(&rows),
        "{rows} rows of {answered} responses"
    );
}
