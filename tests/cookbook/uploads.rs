use std::path::Path;

use daybook::axum::body::Body;
use daybook::axum::extract::{Path as UrlPath, State};
use daybook::axum::http::StatusCode;
use daybook::axum::response::{IntoResponse, Result};
use daybook::axum::{Router, routing::put};
use daybook::testing::Server;
use daybook::{RequestStore, streamed_body};
use futures_util::TryStreamExt;
use tokio::io::AsyncWriteExt;

use super::{app, number};

const UPLOAD_BYTES_MAX: usize = 1 << 30;

async fn upload(
    State(directory): State<&'static Path>,
    store: RequestStore,
    UrlPath(name): UrlPath<String>,
    body: Body,
) -> Result<impl IntoResponse> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    // Dropped, and so removed, if the client disconnects.
    let unfinished = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(unfinished.reopen().map_err(failed)?);
    let mut chunks = body.into_data_stream();
    let mut bytes: i64 = 0;
    // A chunk fails if the body is too large or broken. daybook then sends its own response.
    while let Some(chunk) = chunks
        .try_next()
        .await
        .map_err(|_| StatusCode::BAD_REQUEST)?
    {
        bytes += chunk.len() as i64;
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)?;
    let id = store
        .write(move |tx| {
            tx.execute(
                "insert into uploads (name, bytes) values (?, ?)",
                (name, bytes),
            )?;
            Ok::<_, daybook::rusqlite::Error>(tx.last_insert_rowid())
        })
        .await?;
    // The name in the file system is the row's id: a name of the client's could lead elsewhere.
    unfinished
        .persist(directory.join(id.to_string()))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok((StatusCode::CREATED, format!("{id}\n")))
}

fn routes(directory: &'static Path) -> Router {
    Router::new()
        .route(
            "/files/{name}",
            put(upload).layer(streamed_body(UPLOAD_BYTES_MAX)),
        )
        .with_state(directory)
}

#[test]
fn a_whole_upload_is_kept_under_the_id_of_its_row() {
    let directory: &'static Path = Box::leak(Box::new(tempfile::tempdir().unwrap().keep()));
    let server = Server::start(app(routes(directory)));
    let bytes = vec![b'x'; 3 << 20];
    let request = daybook::axum::http::Request::put("/files/photo.jpg").body(bytes.clone());
    let response = server.send(request.unwrap());
    assert_eq!((response.status().as_u16(), response.text()), (201, "1\n"));
    assert_eq!(std::fs::read(directory.join("1")).unwrap(), bytes);
    assert_eq!(
        number(
            &server,
            "select bytes from uploads where name = 'photo.jpg'"
        ),
        3 << 20
    );
    assert_eq!(
        number(&server, "select content_length from requests"),
        3 << 20
    );
    std::fs::remove_dir_all(directory).unwrap();
}
