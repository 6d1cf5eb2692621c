use std::ffi::OsStr;
use std::path::Path;

use daybook::axum::Router;
use daybook::axum::extract::Path as UrlPath;
use daybook::axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use daybook::axum::http::{HeaderValue, StatusCode};
use daybook::axum::response::IntoResponse;
use daybook::axum::routing::get;
use daybook::testing::Server;
use daybook::unrecorded;
use include_dir::{Dir, include_dir};
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{app, number};

static ASSETS: Dir = include_dir!("$CARGO_MANIFEST_DIR/tests/cookbook/assets");

/// A file of the folder, which is compiled in.
async fn asset(UrlPath(path): UrlPath<String>) -> Result<impl IntoResponse, StatusCode> {
    let file = ASSETS.get_file(&path).ok_or(StatusCode::NOT_FOUND)?;
    let content_type = match file.path().extension().and_then(OsStr::to_str) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    Ok((headers, file.contents()))
}

fn assets() -> Router {
    Router::new()
        .route("/assets/{*path}", get(asset))
        .route_layer(unrecorded())
}

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

#[test]
fn an_embedded_file_is_served_with_its_type_and_without_a_record() {
    let server = Server::start(app(assets()));
    let response = server.get("/assets/page.css");
    assert_eq!(response.text(), "b { color: #123; }\n");
    assert_eq!(
        response.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert_eq!(response.record_id(), None);
    assert_eq!(server.get("/assets/../mod.rs").status(), 404);
    assert_eq!(server.get("/assets/none.css").status(), 404);
}
