//! A receiver of webhooks, as GitHub sends them: it checks the signature, and stores each delivery exactly once.
//!
//! `DAYBOOK_APP__SIGNING_KEY=secret cargo run --example inbox`

use std::collections::BTreeMap;
use std::process::ExitCode;

use daybook::axum::body::Bytes;
use daybook::axum::http::{HeaderMap, StatusCode};
use daybook::axum::response::Result;
use daybook::axum::{Router, routing::post};
use daybook::{App, BoxError, Context, RequestStore, Secret};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

#[derive(Default, Deserialize, Serialize)]
struct Config {
    /// The key that the sender signs with.
    signing_key: Secret,
}

fn main() -> ExitCode {
    daybook::run(app())
}

fn app() -> App {
    App::new("inbox", routes)
        .config::<Config>()
        .migrations(daybook::migrations!("examples/inbox/migrations"))
}

fn routes(context: &Context) -> std::result::Result<Router, BoxError> {
    if context.config::<Config>().signing_key.expose().is_empty() {
        return Err("set app.signing_key: without a key anyone could send events".into());
    }
    Ok(Router::new().route("/", post(receive)))
}

/// Stores the delivery in the transaction of its record, so 200 means that both are on disk. A sender that got no response
/// sends again, and its delivery is found.
async fn receive(
    context: Context,
    store: RequestStore,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, &'static str)> {
    let key = context.config::<Config>().signing_key.expose();
    if !is_signed(key.as_bytes(), &headers, &body) {
        return Ok((StatusCode::UNAUTHORIZED, "the signature does not fit\n"));
    }
    let Some(delivery) = text(&headers, "x-github-delivery") else {
        return Ok((StatusCode::BAD_REQUEST, "X-GitHub-Delivery is missing\n"));
    };
    let delivery = delivery.to_owned();
    let headers = to_json(&headers);
    let stored = store
        .write_with_id(move |tx, request_id| {
            tx.execute(
                "insert into events (delivery, request_id, headers, body) values (?, ?, ?, ?) on conflict do nothing",
                (delivery, request_id, headers, &body[..]),
            )
        })
        .await?;
    Ok((
        StatusCode::OK,
        if stored == 1 {
            "stored\n"
        } else {
            "stored before\n"
        },
    ))
}

/// The comparison takes the same time wherever the signatures differ.
fn is_signed(key: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let signature = text(headers, "x-hub-signature-256")
        .and_then(|header| header.strip_prefix("sha256="))
        .and_then(|digits| hex::decode(digits).ok());
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(body);
    signature.is_some_and(|signature| mac.verify_slice(&signature).is_ok())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn to_json(headers: &HeaderMap) -> String {
    let headers: BTreeMap<_, _> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    serde_json::to_string(&headers).expect("text can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybook::axum::http::Request;
    use daybook::testing::{Response, Server};

    const KEY: &str = "It's a Secret to Everybody";

    fn start() -> Server {
        Server::with(app(), &[("app.signing_key", KEY)])
    }

    fn signature(body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }

    fn deliver(server: &Server, delivery: &str, body: &str, signature: &str) -> Response {
        let request = Request::post("/")
            .header("x-github-delivery", delivery)
            .header("x-hub-signature-256", signature)
            .body(body.to_owned());
        server.send(request.unwrap())
    }

    fn events(server: &Server) -> Vec<(String, Vec<u8>)> {
        let database = server.database();
        let mut sql = database
            .prepare("select delivery, body from events join requests on id = request_id")
            .unwrap();
        let rows = sql
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_sender_s_published_example_is_accepted() {
        // GitHub's documentation, "Validating webhook deliveries".
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature("Hello, World!"), expected);
    }

    #[test]
    fn a_signed_delivery_is_stored_with_its_record() {
        let server = start();
        assert_eq!(
            deliver(&server, "1", "{}", &signature("{}")).text(),
            "stored\n"
        );
        assert_eq!(events(&server), [("1".to_owned(), b"{}".to_vec())]);
    }

    #[test]
    fn a_delivery_that_comes_twice_at_once_is_stored_once() {
        let server = start();
        let bodies: Vec<_> = std::thread::scope(|scope| {
            let send = || {
                deliver(&server, "1", "{}", &signature("{}"))
                    .text()
                    .to_owned()
            };
            let both = [scope.spawn(send), scope.spawn(send)];
            both.map(|one| one.join().unwrap()).into()
        });
        assert!(bodies.contains(&"stored\n".to_owned()), "{bodies:?}");
        assert!(bodies.contains(&"stored before\n".to_owned()), "{bodies:?}");
        assert_eq!(events(&server).len(), 1);
    }

    #[test]
    fn a_wrong_signature_stores_nothing() {
        let server = start();
        for wrong in [&signature("other"), "sha256=", "sha256=zz", ""] {
            assert_eq!(
                deliver(&server, "1", "{}", wrong).status(),
                401,
                "{wrong:?}"
            );
        }
        assert_eq!(events(&server), []);
    }
}
