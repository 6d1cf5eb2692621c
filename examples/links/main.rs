//! A URL shortener with pages: `cargo run --example links`, then open <http://127.0.0.1:8080/>.

use std::process::ExitCode;

use daybook::axum::extract::{Form, Path};
use daybook::axum::http::{StatusCode, Uri};
use daybook::axum::response::{IntoResponse, Redirect, Response, Result};
use daybook::axum::{Router, routing::get};
use daybook::rusqlite::{self, Connection, OptionalExtension};
use daybook::{App, BoxError, Context, RequestStore};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

fn main() -> ExitCode {
    daybook::run(app())
}

fn app() -> App {
    App::new("links", routes).migrations(daybook::migrations!("examples/links/migrations"))
}

fn routes(_: &Context) -> std::result::Result<Router, BoxError> {
    Ok(Router::new()
        .route("/", get(list).post(add))
        .route("/{code}", get(follow)))
}

struct Link {
    code: String,
    url: String,
    visits: i64,
}

/// The newest links, and a form.
async fn list(store: RequestStore) -> Result<Markup> {
    Ok(page(&store.read(newest).await?, None))
}

#[derive(Deserialize)]
struct NewLink {
    url: String,
}

/// Adding a URL again returns its first link.
async fn add(store: RequestStore, Form(NewLink { url }): Form<NewLink>) -> Result<Response> {
    if !is_web_address(&url) {
        let links = store.read(newest).await?;
        let page = page(
            &links,
            Some("Write an address that begins with http:// or https://"),
        );
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    store
        .write(move |tx| {
            tx.execute(
                "insert into links (url) values (?) on conflict do nothing",
                [url],
            )
        })
        .await?;
    // A page that was the response to a POST would be sent again when it is loaded again.
    Ok(Redirect::to("/").into_response())
}

/// Counts the visit in the transaction of its record: both are on disk, or neither.
async fn follow(store: RequestStore, Path(code): Path<String>) -> Result<Response> {
    let Ok(id) = i64::from_str_radix(&code, 36) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let url: Option<String> = store
        .write(move |tx| {
            let sql = "update links set visits = visits + 1 where id = ? returning url";
            tx.query_row(sql, [id], |row| row.get(0)).optional()
        })
        .await?;
    Ok(match url {
        Some(url) => Redirect::to(&url).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

fn newest(db: &Connection) -> rusqlite::Result<Vec<Link>> {
    db.prepare_cached("select id, url, visits from links order by id desc limit 20")?
        .query_map([], |row| {
            Ok(Link {
                code: base36(row.get(0)?),
                url: row.get(1)?,
                visits: row.get(2)?,
            })
        })?
        .collect()
}

/// Only these may follow in a `location` header; others, such as `javascript:`, could run in the reader's page.
fn is_web_address(url: &str) -> bool {
    let is_web = |uri: Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    url.is_ascii() && url.parse().is_ok_and(is_web)
}

fn base36(mut number: i64) -> String {
    let mut digits = Vec::new();
    while digits.is_empty() || number > 0 {
        digits.extend(char::from_digit((number % 36) as u32, 36));
        number /= 36;
    }
    digits.iter().rev().collect()
}

fn page(links: &[Link], error: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Links" }
            }
            body {
                h1 { "Links" }
                form method="post" {
                    label { "Address " input type="url" name="url" required; }
                    button { "Shorten" }
                }
                @if let Some(error) = error { p role="alert" { (error) } }
                ul {
                    @for link in links {
                        li { a href={ "/" (link.code) } { "/" (link.code) } " → " (link.url) ", visits: " (link.visits) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybook::axum::http::Request;
    use daybook::axum::http::header::CONTENT_TYPE;
    use daybook::testing::{self, Server};

    fn add(server: &Server, form: &'static str) -> testing::Response {
        let request = Request::post("/")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        server.send(request.expect("a request"))
    }

    fn count(server: &Server, sql: &str) -> i64 {
        let database = server.database();
        database.query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    #[test]
    fn a_short_link_leads_to_its_address_and_counts_the_visit() {
        let server = Server::start(app());
        let added = add(&server, "url=https%3A%2F%2Fexample.org%2Fa");
        assert_eq!(added.status(), 303);
        let followed = server.get("/1");
        assert_eq!(followed.header("location"), Some("https://example.org/a"));
        assert_eq!(count(&server, "select visits from links"), 1);
        assert!(server.get("/").text().contains("visits: 1"));
        assert_eq!(server.get("/zz").status(), 404);
    }

    #[test]
    fn an_address_is_shortened_once() {
        let server = Server::start(app());
        for _ in 0..2 {
            add(&server, "url=https%3A%2F%2Fexample.org%2F");
        }
        assert_eq!(count(&server, "select count(*) from links"), 1);
    }

    #[test]
    fn a_script_as_an_address_is_refused_and_shown_as_text() {
        let server = Server::start(app());
        let refused = add(&server, "url=javascript%3Aalert(1)");
        assert_eq!(refused.status(), 422);
        assert_eq!(count(&server, "select count(*) from links"), 0);
        add(&server, "url=https%3A%2F%2Fexample.org%2F%3Ca%3E%22");
        assert!(!server.get("/").text().contains("<a>"));
    }
}
