//! The application that tests run as a program, for its command line and its exit codes (`tests/common/program.rs`).

use std::process::ExitCode;
use std::{env, fs};

use daybook::axum::{Router, routing::get};
use daybook::{App, BoxError, Context, Migrations, Schedule, Secret, migrations};
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

/// The environment decides what it declares:
///
/// - `APPLICATION`: its name.
/// - `ROUTE`: the path of one more route.
/// - `JOBS`: the names and times of its daily jobs, such as `purge=03:00 digest=07:30`.
/// - `MIGRATIONS`: a directory that the test has written, or `none`. Without it, those beside this file are compiled in.
fn main() -> ExitCode {
    let name = env::var("APPLICATION").unwrap_or_else(|_| "guestbook".to_owned());
    let mut app = App::new(name.leak(), routes).config::<Settings>();
    let jobs: &str = env::var("JOBS").unwrap_or_default().leak();
    for job in jobs.split_whitespace() {
        let (name, time) = job.split_once('=').expect("a name and a time");
        app = app.job(name, Schedule::daily(time), async |_| Ok(()));
    }
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
    let routes = Router::new().route("/", get(title));
    Ok(match env::var("ROUTE") {
        Ok(path) => routes.route(&path, get(async || "one more")),
        Err(_) => routes,
    })
}

fn read(directory: &str) -> Migrations {
    let files = fs::read_dir(directory).expect("the directory");
    Migrations::from_files(files.map(|file| {
        let file = file.expect("its entries");
        let name = file.file_name().into_string().expect("a name in UTF-8");
        (name, fs::read(file.path()).expect("the file"))
    }))
}
