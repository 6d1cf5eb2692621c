use daybook::RequestStore;
use daybook::axum::http::{HeaderMap, Request, StatusCode};
use daybook::axum::response::Result;
use daybook::axum::{Router, routing::post};
use daybook::rusqlite::{self, OptionalExtension};
use daybook::testing::Server;

use super::{app, number};

/// A client that got no response sends the request again with the same key, and gets the first one's response.
async fn pay(store: RequestStore, headers: HeaderMap, amount: String) -> Result<String> {
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    let key = key.ok_or(StatusCode::BAD_REQUEST)?.to_owned();
    let response = store
        .write(move |tx| {
            let find = "select response from payments where idempotency_key = ?";
            let earlier: Option<String> =
                tx.query_row(find, [&key], |row| row.get(0)).optional()?;
            if let Some(response) = earlier {
                return Ok(response);
            }
            let response = format!("paid {amount}\n");
            tx.execute("insert into payments values (?, ?)", [&key, &response])?;
            Ok::<_, rusqlite::Error>(response)
        })
        .await?;
    Ok(response)
}

#[test]
fn a_repeated_payment_gets_the_first_response_and_is_paid_once() {
    let server = Server::start(app(Router::new().route("/payments", post(pay))));
    let send = |key: &str, amount: &str| {
        let request = Request::post("/payments")
            .header("idempotency-key", key)
            .body(amount.to_owned());
        server.send(request.unwrap()).text().to_owned()
    };
    assert_eq!(send("a", "5"), "paid 5\n");
    assert_eq!(send("a", "6"), "paid 5\n");
    assert_eq!(send("b", "6"), "paid 6\n");
    assert_eq!(number(&server, "select count(*) from payments"), 2);
    assert_eq!(server.post("/payments", "5").status(), 400);
}
