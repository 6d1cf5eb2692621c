//! guestbook: a page with a form and the notes that were left there. Replace it by your own.

use daybook::axum::Form;
use daybook::axum::response::Redirect;
use daybook::axum::routing::{Router, get, post};
use daybook::{App, BoxError, Context, ReadError, RequestStore, WriteError, rusqlite};
use maud::{DOCTYPE, Markup, html};

const NOTES_SHOWN_MAX: u32 = 50;

/// The application: its name, its routes and its tables.
pub fn app() -> App {
    App::new("guestbook", routes).migrations(daybook::migrations!("migrations"))
}

fn routes(_context: &Context) -> Result<Router, BoxError> {
    Ok(Router::new()
        .route("/", get(page))
        .route("/notes", post(add)))
}

#[derive(serde::Deserialize)]
struct NewNote {
    text: String,
}

/// Stores a note in one transaction with the request's record, and returns when both are on disk.
async fn add(
    store: RequestStore,
    Form(note): Form<NewNote>,
) -> Result<Redirect, WriteError<rusqlite::Error>> {
    store
        .write(move |tx| tx.execute("insert into notes (text) values (?)", [note.text]))
        .await?;
    Ok(Redirect::to("/"))
}

async fn page(store: RequestStore) -> Result<Markup, ReadError<rusqlite::Error>> {
    let notes: Vec<String> = store
        .read(|db| {
            db.prepare("select text from notes order by id desc limit ?")?
                .query_map([NOTES_SHOWN_MAX], |row| row.get(0))?
                .collect()
        })
        .await?;
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "guestbook" }
            }
            body {
                h1 { "guestbook" }
                form method="post" action="/notes" {
                    input name="text" aria-label="Note" required maxlength="500";
                    button { "Add" }
                }
                ul { @for note in &notes { li { (note) } } }
            }
        }
    })
}
