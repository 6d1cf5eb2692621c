//! The console's files: their headers, and how large they are together.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::common::client::{Response, send};
use crate::common::server::Server;

/// Compressed, together.
const BYTES_MAX: usize = 150_000;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn get(server: &Server, path: &str, fields: &str) -> Response {
    let host = "Host: localhost\r\nConnection: close\r\n";
    send(
        server.admin(),
        format!("GET {path} HTTP/1.1\r\n{host}{fields}\r\n"),
    )
}

/// The files in the repository, by the path that they are served at.
fn files() -> BTreeMap<String, PathBuf> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/page");
    let mut directories = vec![page.clone()];
    let mut files = BTreeMap::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the page's files") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(&page).expect("within").to_str();
            let served = match name.expect("a name in UTF-8") {
                "index.html" => "/".to_owned(),
                name => format!("/console/{name}"),
            };
            files.insert(served, path);
        }
    }
    files
}

#[test]
fn every_file_is_served_with_a_strict_policy() {
    let server = Server::start();
    for (path, file) in files() {
        let response = get(&server, &path, "");
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.body, fs::read(file).expect("a file"), "{path}");
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(response.header(name), Some(value), "{path}");
        }
    }
}

#[test]
fn each_file_has_its_type() {
    let server = Server::start();
    for (path, expected) in [
        ("/", "text/html; charset=utf-8"),
        ("/console/main.js", "text/javascript; charset=utf-8"),
        ("/console/console.css", "text/css; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml"),
        ("/console/uplot/LICENSE", "text/plain; charset=utf-8"),
    ] {
        let response = get(&server, path, "");
        assert_eq!(response.header("content-type"), Some(expected), "{path}");
    }
}

#[test]
fn a_browser_that_has_the_file_gets_304() {
    let server = Server::start();
    let first = get(&server, "/console/main.js", "");
    let tag = first.header("etag").expect("an entity tag").to_owned();
    for known in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        "*".to_owned(),
    ] {
        let fields = format!("If-None-Match: {known}\r\n");
        let response = get(&server, "/console/main.js", &fields);
        assert_eq!(response.status, 304, "{known}");
        assert_eq!(response.header("etag"), Some(tag.as_str()));
        assert!(response.body.is_empty());
    }
    for unknown in ["\"other\"", "W/\"other\"", ""] {
        let fields = format!("If-None-Match: {unknown}\r\n");
        assert_eq!(get(&server, "/console/main.js", &fields).status, 200);
    }
    let page = get(&server, "/", "");
    assert_ne!(page.header("etag"), Some(tag.as_str()));
}

#[test]
fn other_paths_are_404() {
    let server = Server::start();
    for path in [
        "/console",
        "/console/",
        "/console/index.html",
        "/console/mod.rs",
        "/console/../mod.rs",
        "/console/uplot",
        "/console/%2e%2e/mod.rs",
        "/index.html",
    ] {
        get(&server, path, "").assert_problem(404);
    }
}

#[test]
fn the_page_names_nothing_outside_of_this_server() {
    for (path, file) in files() {
        let text = fs::read_to_string(file).expect("a file of text");
        // uPlot's own comment, and the name of SVG's format.
        let text = text
            .replace("https://github.com/leeoniya/uPlot", "")
            .replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{path}"
        );
        // Relative addresses alone work behind a path of a proxy.
        for absolute in ["src=\"/", "href=\"/", "\"/api", "`/api"] {
            assert!(!text.contains(absolute), "{path}: {absolute}");
        }
        let is_ours = !path.contains("/uplot/");
        let as_markup = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
        ];
        assert!(
            !is_ours || !as_markup.iter().any(|name| text.contains(name)),
            "{path}"
        );
    }
}

#[test]
fn uplot_is_the_published_one() {
    for (path, sha256) in [
        (
            "/console/uplot/uPlot.iife.min.js",
            "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        ),
        (
            "/console/uplot/uPlot.min.css",
            "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        ),
    ] {
        let content = fs::read(&files()[path]).expect("a file");
        assert_eq!(hex::encode(Sha256::digest(content)), sha256, "{path}");
    }
}

#[test]
fn the_page_stays_small() {
    let compressed: usize = files().values().map(|file| gzip(file)).sum();
    println!("{compressed} bytes");
    assert!(compressed <= BYTES_MAX, "{compressed} bytes, compressed");
}

fn gzip(file: &Path) -> usize {
    let mut gzip = Command::new("gzip")
        .arg("-9")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    let content = fs::read(file).expect("a file");
    let mut input = gzip.stdin.take().expect("its input");
    let output = std::thread::spawn(move || gzip.wait_with_output().expect("its output"));
    input.write_all(&content).expect("gzip reads all");
    drop(input);
    output.join().expect("a thread").stdout.len()
}
