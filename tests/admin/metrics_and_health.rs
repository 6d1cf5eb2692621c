//! Health and metrics on the admin listener, and the health path of the public one.

use crate::common::client::send;
use crate::common::server::Server;

/// Metrics that the first scrape already has.
const METRICS: &[&str] = &[
    "daybook_request_duration_seconds_bucket",
    "daybook_request_duration_seconds_sum",
    "daybook_request_duration_seconds_count",
    "daybook_requests_in_flight",
    "daybook_connections",
    "daybook_records_committed_total",
    "daybook_commit_queue_records",
    "daybook_commit_batch_records_bucket",
    "daybook_commit_duration_seconds_bucket",
    "daybook_write_lock_wait_seconds_bucket",
    "daybook_checkpoint_duration_seconds_bucket",
    "daybook_wal_bytes",
    "daybook_database_bytes",
    "daybook_disk_free_bytes",
    "daybook_ready",
    "daybook_recording",
    "daybook_build_info",
    "daybook_accept_waits_total",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
];

#[test]
fn livez_and_readyz_respond_with_one_line() {
    let server = Server::start();
    for path in ["/livez", "/readyz"] {
        let response = server.get_admin(path);
        assert_eq!(
            (response.status, response.text().trim_end().lines().count()),
            (200, 1),
            "{path}"
        );
        assert_eq!(response.record_id(), None);
    }
    assert_eq!(server.rows(), 0);
}

#[test]
fn metrics_have_every_name_and_the_replicas_label() {
    let server = Server::start();
    server.get("/one");
    server.wait_for_responses(200, 1);
    let response = server.get_admin("/metrics");
    assert_eq!(response.status, 200);
    assert!(
        response
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/plain")),
        "{}",
        response.head
    );
    let samples: Vec<&str> = response
        .text()
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .collect();
    for name in METRICS {
        let is_there = samples
            .iter()
            .any(|l| l.strip_prefix(name).is_some_and(|l| l.starts_with('{')));
        assert!(is_there, "{name} is missing");
    }
    // Prometheus does not see the first increase of a counter that does not begin at 0.
    for code in ["500", "503"] {
        let series = format!("daybook_requests_total{{code=\"{code}\",replica=\"test\"}} 0");
        assert!(samples.contains(&series.as_str()), "{series} is missing");
    }
    for sample in &samples {
        assert!(
            sample.contains(r#"replica="test""#),
            "no label replica: {sample}"
        );
    }
    // Alerts need a series before its first event.
    for (metric, reasons) in [
        (
            "daybook_records_rejected_total",
            &["queue_full", "deadline", "memory", "storage", "draining"][..],
        ),
        (
            "daybook_connections_closed_total",
            &["header_timeout", "idle_timeout", "write_timeout"],
        ),
    ] {
        for reason in reasons {
            let label = format!("reason=\"{reason}\"");
            let is_there = |sample: &&str| sample.starts_with(metric) && sample.contains(&label);
            assert!(
                samples.iter().any(is_there),
                "{metric}: {reason} is missing"
            );
        }
    }
}

#[test]
fn build_info_names_the_versions() {
    let server = Server::start();
    server.get("/one");
    server.wait_for_responses(200, 1);
    let value = |name: &str| server.metric(name, &[]);
    assert_eq!(
        (value("daybook_ready"), value("daybook_recording")),
        (1.0, 1.0)
    );
    assert_eq!(value("daybook_records_committed_total"), 1.0);
    assert_eq!(value("daybook_commit_queue_records"), 0.0);
    assert!(value("daybook_database_bytes") > 0.0 && value("daybook_disk_free_bytes") > 0.0);
    let build = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("sqlite", rusqlite::version()),
    ];
    assert_eq!(server.metric("daybook_build_info", &build), 1.0);
    let metrics = server.get_admin("/metrics");
    assert!(
        metrics.text().contains(r#"le="0.0001""#),
        "no bucket of 100 µs"
    );
    assert_eq!(
        server.metric("daybook_request_duration_seconds_bucket", &[("le", "10")]),
        1.0
    );
}

#[test]
fn other_paths_and_methods_get_a_problem() {
    let server = Server::start();
    for path in [
        "/nothing",
        "/metrics/",
        "/requests/1/2",
        "/requests/x",
        "/requests/%ff",
        "/healthz",
    ] {
        println!("{path}");
        server.get_admin(path).assert_problem(404);
    }
    for path in ["/metrics", "/livez", "/readyz", "/requests", "/requests/1"] {
        println!("{path}");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let response = send(server.admin(), request);
        response.assert_problem(405);
        assert!(
            response
                .header("allow")
                .is_some_and(|methods| methods.contains("GET")),
            "{}",
            response.head
        );
    }
    assert_eq!(server.rows(), 0);
}

#[test]
fn the_public_listener_has_no_admin_routes() {
    let server = Server::start();
    for path in ["/metrics", "/livez", "/readyz", "/requests", "/requests/1"] {
        let response = server.get(path);
        assert_eq!((response.status, response.text()), (200, ""));
        assert_eq!(server.row(response.record_id().expect("its id")).path, path);
    }
}

#[test]
fn only_get_and_head_of_the_exact_health_path_leave_no_row_and_are_not_counted() {
    let server = Server::start();
    for method in ["GET", "HEAD"] {
        let request = format!("{method} /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let response = send(server.addr(), request);
        assert_eq!(
            (response.status, response.record_id()),
            (200, None),
            "{method}"
        );
    }
    assert_eq!(server.rows(), 0);

    for (method, path) in [
        ("POST", "/healthz"),
        ("GET", "/healthz/"),
        ("GET", "/healthz2"),
        ("GET", "/Healthz"),
    ] {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
        );
        let response = send(server.addr(), request);
        assert_eq!(
            (response.status, response.text()),
            (200, "hi"),
            "{method} {path}"
        );
        let row = server.row(response.record_id().expect("its id"));
        assert_eq!((row.method.as_str(), row.path.as_str()), (method, path));
    }
    server.wait_for_responses(200, 4);
}

#[test]
fn a_refused_request_to_the_health_path_is_recorded_like_any_other() {
    let server = Server::start();
    let response = send(server.addr(), "GET /healthz HTTP/1.1\r\n\r\n");
    assert_eq!(response.status, 400);
    assert_eq!(
        server.row(response.record_id().expect("its id")).path,
        "/healthz"
    );
}

#[test]
fn the_health_path_can_be_another_one_or_none() {
    let elsewhere = Server::with(|c| {
        c.text("health_path", "/up");
    });
    assert_eq!(elsewhere.get("/up").record_id(), None);
    assert!(elsewhere.get("/healthz").record_id().is_some());

    let nowhere = Server::with(|c| {
        c.text("health_path", "");
    });
    assert!(nowhere.get("/healthz").record_id().is_some());
}

#[test]
fn the_free_space_is_that_of_the_databases_file_system() {
    let server = Server::start();
    let free = || {
        let found = rustix::fs::statvfs(server.database_path()).expect("its file system");
        (found.f_bavail * found.f_frsize) as f64
    };
    // Other processes write there too, so the value is not exact.
    let (before, told, after) = (
        free(),
        server.metric("daybook_disk_free_bytes", &[]),
        free(),
    );
    let about = before.min(after) * 0.9..before.max(after) * 1.1;
    assert!(about.contains(&told), "{told} is not in {about:?}");
}
