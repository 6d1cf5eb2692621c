use daybook::axum::extract::{Form, FromRequestParts};
use daybook::axum::http::header::{COOKIE, SET_COOKIE};
use daybook::axum::http::request::Parts;
use daybook::axum::http::{HeaderMap, Request, StatusCode};
use daybook::axum::response::{IntoResponse, Redirect, Response, Result};
use daybook::axum::{Router, routing::get, routing::post};
use daybook::rusqlite::OptionalExtension;
use daybook::testing::Server;
use daybook::{RequestStore, rusqlite};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{app, number, post_form};

const SESSION_SECONDS: i64 = 30 * 24 * 60 * 60;

#[derive(Deserialize)]
struct Login {
    name: String,
}

// Check a password before: the crate argon2 hashes it.
async fn log_in(store: RequestStore, Form(login): Form<Login>) -> Result<Response> {
    let mut token = [0; 32];
    getrandom::fill(&mut token).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let token = hex::encode(token);
    let hash = Sha256::digest(&token);
    store
        .write(move |tx| {
            tx.execute(
                "insert into users (name) values (?) on conflict do nothing",
                [&login.name],
            )?;
            tx.execute(
                "insert into sessions select ?, id, unixepoch() + ? from users where name = ?",
                (&hash[..], SESSION_SECONDS, &login.name),
            )
        })
        .await?;
    let cookie = format!(
        "session={token}; Max-Age={SESSION_SECONDS}; Path=/; HttpOnly; Secure; SameSite=Lax"
    );
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

/// The user of the request's session; 401 without one.
struct User {
    name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let unauthorized = || StatusCode::UNAUTHORIZED.into_response();
        let hash = Sha256::digest(cookie(&parts.headers, "session").ok_or_else(unauthorized)?);
        let store = RequestStore::from_request_parts(parts, state).await;
        let store = store.map_err(IntoResponse::into_response)?;
        let name = store.read(move |db| user_of(db, &hash)).await;
        let name = name.map_err(IntoResponse::into_response)?;
        Ok(User {
            name: name.ok_or_else(unauthorized)?,
        })
    }
}

fn user_of(db: &rusqlite::Connection, token_sha256: &[u8]) -> rusqlite::Result<Option<String>> {
    let sql = "select name from sessions join users on id = user_id where token_sha256 = ? and expires_at > unixepoch()";
    db.prepare_cached(sql)?
        .query_row([token_sha256], |row| row.get(0))
        .optional()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    cookies
        .flat_map(|line| line.split("; "))
        .find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='))
}

async fn hello(user: User) -> String {
    format!("hello {}\n", user.name)
}

fn routes() -> Router {
    Router::new()
        .route("/", get(hello))
        .route("/login", post(log_in))
}

fn get_with_cookie(server: &Server, cookie: &str) -> (u16, String) {
    let request = Request::get("/").header("cookie", cookie).body("").unwrap();
    let response = server.send(request);
    (response.status().as_u16(), response.text().to_owned())
}

#[test]
fn a_session_belongs_to_the_user_who_logged_in_until_it_expires() {
    let server = Server::start(app(routes()));
    assert_eq!(server.get("/").status(), 401);
    let response = post_form(&server, "/login", "name=ada");
    let cookie = response.header("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(
        get_with_cookie(&server, cookie),
        (200, "hello ada\n".to_owned())
    );
    assert_eq!(get_with_cookie(&server, "session=0").0, 401);
    // The token itself is not in the database: a copy of the file opens no session.
    let token = cookie.strip_prefix("session=").unwrap();
    let found = "select count(*) from sessions where token_sha256 in (?, unhex(?))";
    let found: i64 = (server.database())
        .query_row(found, [token, token], |row| row.get(0))
        .unwrap();
    assert_eq!(found, 0);
    server
        .database()
        .execute("update sessions set expires_at = 0", [])
        .unwrap();
    assert_eq!(get_with_cookie(&server, cookie).0, 401);
    assert_eq!(number(&server, "select count(*) from sessions"), 1);
}
