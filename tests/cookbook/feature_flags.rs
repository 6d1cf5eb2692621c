use daybook::axum::{Router, routing::get};
use daybook::testing::Server;
use daybook::{App, Context};
use serde::{Deserialize, Serialize};

#[derive(Default, Deserialize, Serialize)]
struct Settings {
    /// Off everywhere, until the canary's own environment turns it on: DAYBOOK_APP__NEW_SEARCH=true.
    new_search: bool,
}

async fn search(context: Context) -> &'static str {
    if context.config::<Settings>().new_search {
        "new\n"
    } else {
        "old\n"
    }
}

fn app() -> App {
    App::new(
        "search",
        |_| Ok(Router::new().route("/search", get(search))),
    )
    .config::<Settings>()
}

#[test]
fn a_flag_is_a_key_of_the_configuration() {
    assert_eq!(Server::start(app()).get("/search").text(), "old\n");
    let canary = Server::with(app(), &[("app.new_search", "true")]);
    assert_eq!(canary.get("/search").text(), "new\n");
}
