use std::path::Path;

use daybook::axum::Router;
use daybook::axum::http::{HeaderValue, header::CACHE_CONTROL};
use daybook::testing::Server;
use daybook::unrecorded;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{app, number};

fn static_files(directory: &Path) -> Router {
    let one_hour = HeaderValue::from_static("public, max-age=3600");
    Router::new()
        .nest_service("/static", ServeDir::new(directory).precompressed_br())
        .route_layer(SetResponseHeaderLayer::if_not_present(
            CACHE_CONTROL,
            one_hour,
        ))
        .route_layer(unrecorded())
}

#[test]
fn a_static_file_is_served_without_a_record() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("page.css"), "b {}").unwrap();
    let server = Server::start(app(static_files(directory.path())));
    let response = server.get("/static/page.css");
    assert_eq!(
        (response.text(), response.header("content-type")),
        ("b {}", Some("text/css"))
    );
    assert_eq!(
        response.header("cache-control"),
        Some("public, max-age=3600")
    );
    assert_eq!(response.record_id(), None);
    assert_eq!(number(&server, "select count(*) from requests"), 0);
}
