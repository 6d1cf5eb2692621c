//! The application that tests run as a program, for its command line and its exit codes (`tests/common/program.rs`).

use std::process::ExitCode;
use std::{env, fs};

use daybook::axum::{Router, routing::get};
use daybook::{App, BoxError, Context, Migrations, Secret, migrations};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Settings {
    title: String,
    entries_per_page: u32,
    mail: Mail,
}

#[derive(Deserialize, Serialize)]
struct Mail {
    host: String,
    password: Secret,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: "Guestbook".into(),
            entries_per_page: 20,
            mail: Mail {
                host: "localhost".into(),
                password: Secret::default(),
            },
        }
    }
}

/// `APPLICATION` is its name. `MIGRATIONS` is a directory that the test has written, `none`, or else those beside this
/// file are compiled in.
fn main() -> ExitCode {
    let name = env::var("APPLICATION").unwrap_or_else(|_| "guestbook".to_owned());
    let app = App::new(name.leak(), routes).config::<Settings>();
    daybook::run(match env::var("MIGRATIONS") {
        Ok(none) if none == "none" => app,
        Ok(directory) => app.migrations(read(&directory)),
        Err(_) => app.migrations(migrations!("tests/programs/migrations")),
    })
}

fn routes(_: &Context) -> Result<Router, BoxError> {
    async fn title(context: Context) -> String {
        context.config::<Settings>().title.clone()
    }
    Ok(Router::new().route("/", get(title)))
}

fn read(directory: &str) -> Migrations {
    let files = fs::read_dir(directory).expect("the directory");
    Migrations::from_files(files.map(|file| {
        let file = file.expect("its entries");
        let name = file.file_name().into_string().expect("a name in UTF-8");
        (name, fs::read(file.path()).expect("the file"))
    }))
}
