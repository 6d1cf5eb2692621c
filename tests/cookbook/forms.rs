use daybook::RequestStore;
use daybook::axum::extract::{Form, Request};
use daybook::axum::http::{HeaderMap, StatusCode};
use daybook::axum::middleware::{Next, from_fn};
use daybook::axum::response::{Redirect, Response, Result};
use daybook::axum::{Router, routing::get};
use daybook::testing::Server;
use maud::{Markup, html};
use serde::Deserialize;

use super::{app, number, post_form};

#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn list(store: RequestStore) -> Result<Markup> {
    let notes: Vec<String> = store
        .read(|db| {
            let mut notes =
                db.prepare_cached("select text from notes order by id desc limit 50")?;
            notes.query_map([], |row| row.get(0))?.collect()
        })
        .await?;
    Ok(html! {
        form method="post" { input name="text" required; button { "Add" } }
        @for note in notes { p { (note) } }
    })
}

async fn add(store: RequestStore, Form(note): Form<Note>) -> Result<Redirect> {
    store
        .write(move |tx| tx.execute("insert into notes (text) values (?)", [note.text]))
        .await?;
    // 303: a reload of the page does not send the form again.
    Ok(Redirect::to("/notes"))
}

/// Another site's page cannot send a form in a user's name: browsers say where a request comes from.
async fn same_site(
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    match site {
        Some(b"cross-site" | b"same-site") if !request.method().is_safe() => {
            Err(StatusCode::FORBIDDEN)
        }
        _ => Ok(next.run(request).await),
    }
}

fn routes() -> Router {
    Router::new()
        .route("/notes", get(list).post(add))
        .layer(from_fn(same_site))
}

#[test]
fn a_form_adds_a_note_and_leads_back_to_the_list() {
    let server = Server::start(app(routes()));
    let response = post_form(&server, "/notes", "text=%3Cb%3E");
    assert_eq!(
        (response.status().as_u16(), response.header("location")),
        (303, Some("/notes"))
    );
    assert!(server.get("/notes").text().contains("<p>&lt;b&gt;</p>"));
}

#[test]
fn another_site_cannot_send_the_form() {
    let server = Server::start(app(routes()));
    let request = daybook::axum::http::Request::post("/notes")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site")
        .body("text=a");
    assert_eq!(server.send(request.unwrap()).status(), 403);
    assert_eq!(number(&server, "select count(*) from notes"), 0);
}
