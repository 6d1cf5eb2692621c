//! The console: one page of the admin listener, which shows the replicas and their records.
//!
//! The files of `page/` are compiled in and served as they are: there is no build step. The page's data come from `/api/…`.

mod file;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use include_dir::{Dir, include_dir};

use file::PageFile;

static PAGE: Dir = include_dir!("$CARGO_MANIFEST_DIR/src/console/page");

/// `/` and `/console/…`. The page's addresses are relative, so it also works behind a path of a proxy.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new();
    let mut directories = vec![&PAGE];
    while let Some(directory) = directories.pop() {
        directories.extend(directory.dirs());
        for embedded in directory.files() {
            let file = PageFile::new(embedded);
            let path = match embedded.path().to_str().expect("a name in UTF-8") {
                "index.html" => "/".to_owned(),
                name => format!("/console/{name}"),
            };
            let respond = async move |headers: HeaderMap| file.respond(&headers);
            router = router.route(&path, get(respond));
        }
    }
    router
}
