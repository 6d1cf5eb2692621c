use daybook::axum::http::Request;
use daybook::testing::{Response, Server};

fn add(server: &Server, form: &'static str) -> Response {
    let request =
        Request::post("/notes").header("content-type", "application/x-www-form-urlencoded");
    server.send(request.body(form).unwrap())
}

#[test]
fn a_note_is_stored_with_its_request_and_shown_as_text() {
    let server = Server::start(guestbook::app());
    let added = add(&server, "text=%3Cb%3Ehello");
    assert_eq!(added.status(), 303);
    assert_eq!(added.header("location"), Some("/"));

    let page = server.get("/");
    assert_eq!(page.status(), 200);
    assert!(
        page.text().contains("<li>&lt;b&gt;hello</li>"),
        "{}",
        page.text()
    );

    let path: String = server
        .database()
        .query_row(
            "select path from requests where id = ?",
            [added.record_id()],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(path, "/notes");
}

#[test]
fn a_form_without_text_is_refused_and_stores_nothing() {
    let server = Server::start(guestbook::app());
    assert_eq!(add(&server, "other=1").status(), 422);
    assert!(!server.get("/").text().contains("<li>"));
}
