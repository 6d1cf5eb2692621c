//! The test server that applications use.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use daybook::testing::Server;
use daybook::{App, BoxError, Context};

fn app() -> App {
    async fn show(request: Request<Body>) -> impl IntoResponse {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("a body");
        let cookie = head.headers.get("cookie").cloned();
        let mut headers = vec![("method", head.method.to_string().parse().expect("text"))];
        headers.push(("target", head.uri.to_string().parse().expect("text")));
        headers.push(("host", head.headers["host"].clone()));
        headers.extend(cookie.map(|cookie| ("set-cookie", cookie)));
        (axum::response::AppendHeaders(headers), body)
    }
    App::new("test", |_| {
        Ok(Router::new()
            .route("/show", any(show))
            .route("/number", get(async || axum::Json(7)))
            .route("/forever", get(std::future::pending::<()>)))
    })
}

fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).err().expect("a panic");
    *panic.downcast().expect("a message")
}

#[test]
fn any_request_is_sent_as_it_is_and_its_whole_response_returned() {
    let server = Server::start(app());
    let body: Vec<u8> = (0..=255).collect();
    let url = format!("{}/show?a=b", server.url());
    let request = Request::put(url).header("cookie", "session=1");
    let response = server.send(request.body(body.clone()).expect("a request"));
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("method"), Some("PUT"));
    assert_eq!(response.header("target"), Some("/show?a=b"));
    assert_eq!(response.header("set-cookie"), Some("session=1"));
    assert_eq!(
        response.header("host"),
        server.url().strip_prefix("http://")
    );
    assert_eq!(response.body(), &body);
    assert_eq!(response.headers()["target"], "/show?a=b");

    // The cookie was that request's own.
    let request = Request::builder()
        .method(Method::HEAD)
        .uri("/show")
        .header("host", "other");
    let response = server.send(request.body(()).expect("a request"));
    assert_eq!(response.header("method"), Some("HEAD"));
    assert_eq!(response.header("host"), Some("other"));
    assert_eq!((response.header("set-cookie"), response.text()), (None, ""));
    assert_eq!(response.record_id(), Some(2));
    assert_eq!(server.get("/number").json::<i32>(), 7);
}

#[test]
fn keys_set_the_configuration_and_the_health_path_has_no_row() {
    let server = Server::with(
        app(),
        &[("health_path", "/up"), ("http.body_bytes_max", "3")],
    );
    let health = server.get("/up");
    assert_eq!((health.status().as_u16(), health.record_id()), (200, None));
    assert_eq!(server.post("/show", "1234").status(), 413);
    assert_eq!(server.post("/show", "123").text(), "123");
    let row = "daybook_requests_total{code=\"413\",replica=\"test\"} 1";
    assert!(server.metrics().contains(row), "{}", server.metrics());
}

#[test]
fn an_application_that_cannot_start_fails_the_test_with_the_reason() {
    let message = panic_of(|| Server::with(app(), &[("commit.dedline", "2s")]));
    assert!(message.contains("DAYBOOK_COMMIT__DEADLINE"), "{message}");
    let fails = |_: &Context| Err::<Router, BoxError>("the template is missing".into());
    let message = panic_of(|| Server::start(App::new("test", fails)));
    assert!(
        message.ends_with("the application's routes: the template is missing"),
        "{message}"
    );
}

#[test]
fn a_stop_fails_the_test_if_a_request_is_still_open() {
    let server = Server::with(app(), &[("shutdown.grace", "100ms")]);
    let (addr, url) = (server.addr(), server.url().to_owned());
    let mut client = crate::common::client::Client::connect(&addr.to_string());
    client.send(format!("GET {url}/forever HTTP/1.1\r\nhost: h\r\n\r\n"));
    crate::common::eventually("the request is open", crate::common::TIMEOUT, || {
        server
            .metrics()
            .contains("daybook_requests_in_flight{replica=\"test\"} 1")
    });
    let message = panic_of(|| server.stop());
    assert!(message.contains("shutdown.grace ended before"), "{message}");
}

#[tokio::test]
async fn a_test_may_itself_run_within_a_runtime() {
    let server = Server::start(app());
    assert_eq!(server.get("/number").text(), "7");
    server.stop();
}
