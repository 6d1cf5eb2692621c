//! [`Migrations`]: the files of an application's schema, and the checks that need no database.

use std::borrow::Cow;

use include_dir::{Dir, DirEntry};
use sha2::{Digest, Sha256};

use crate::store::{AppMigration, AppSchema};

/// Begins a migration's first line.
const OLDEST: &str = "-- oldest:";

/// A mistake in a migration that shows without a database. The message names the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MigrationsError(String);

/// The migrations of an application, from [`migrations!`](crate::migrations!).
pub struct Migrations {
    /// For messages.
    directory: Cow<'static, str>,
    /// Name and content of each file. A file in a folder has the folder in its name.
    files: Vec<(Cow<'static, str>, Cow<'static, [u8]>)>,
}

/// Compiles the migrations of a directory in, for [`App::migrations`](crate::App::migrations).
///
/// The directory is relative to the package. (In a workspace, write any but `"migrations"` as `"$CARGO_MANIFEST_DIR/schema"`.)
///
/// Cargo does not notice a *new* file by itself. This line in the `main` of a `build.rs` beside `Cargo.toml` tells it to look:
///
/// ```
/// println!("cargo::rerun-if-changed=migrations");
/// ```
#[macro_export]
macro_rules! migrations {
    // `include_dir!` takes no `concat!`, so only this name can get the package's directory in front.
    ("migrations") => {
        $crate::migrations!(@embed "migrations" "$CARGO_MANIFEST_DIR/migrations")
    };
    ($directory:tt) => {
        $crate::migrations!(@embed $directory $directory)
    };
    (@embed $name:tt $directory:tt) => {{
        // `include_dir!` uses the name of its crate.
        use $crate::__private::include_dir;
        static DIRECTORY: include_dir::Dir<'static> = include_dir::include_dir!($directory);
        $crate::Migrations::embedded($name, &DIRECTORY)
    }};
}

impl Migrations {
    #[doc(hidden)] // For `migrations!`.
    pub fn embedded(directory: &'static str, embedded: &'static Dir<'static>) -> Self {
        let mut files = Vec::new();
        list_files(embedded, &mut files);
        Self {
            directory: directory.into(),
            files,
        }
    }

    #[doc(hidden)] // For daybook's own tests.
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let owned = |(name, content): (String, Vec<u8>)| (name.into(), content.into());
        Self {
            directory: "migrations".into(),
            files: files.into_iter().map(owned).collect(),
        }
    }

    /// Reads and checks all files.
    ///
    /// # Errors
    /// The first mistake.
    pub(super) fn schema(&self, application: &'static str) -> Result<AppSchema, MigrationsError> {
        let mut files: Vec<_> = self
            .files
            .iter()
            .filter(|(name, _)| !is_hidden(name))
            .collect();
        files.sort();
        let mut migrations: Vec<AppMigration> = Vec::new();
        for (name, content) in files {
            let path = format!("{}/{name}", self.directory);
            let migration = read(&path, name, content, &migrations)
                .map_err(|message| MigrationsError(format!("{path}: {message}")))?;
            migrations.push(migration);
        }
        Ok(AppSchema {
            application,
            migrations,
        })
    }
}

/// Hidden files, such as `.gitkeep` or an editor's, are none of the application's.
fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

fn list_files(
    directory: &'static Dir<'static>,
    files: &mut Vec<(Cow<'static, str>, Cow<'static, [u8]>)>,
) {
    for entry in directory.entries() {
        match entry {
            DirEntry::Dir(inner) => list_files(inner, files),
            DirEntry::File(file) => {
                files.push((file.path().to_string_lossy(), file.contents().into()));
            }
        }
    }
}

/// Reads a file that follows those in `earlier`.
fn read(
    path: &str,
    name: &str,
    content: &[u8],
    earlier: &[AppMigration],
) -> Result<AppMigration, String> {
    let version = number(name).ok_or(
        "this is not a migration's name: write four digits, an underscore, a name of letters, digits, _ or -, and .sql, such as \"0001_notes.sql\"",
    )?;
    let (last, last_oldest) = earlier
        .last()
        .map_or((0, 0), |last| (last.version, last.oldest));
    if version == last && version > 0 {
        let other = &earlier[earlier.len() - 1].path;
        return Err(format!(
            "{other} has the same number: renumber the one that has not run yet"
        ));
    }
    if version != last + 1 {
        return Err(format!(
            "there is no migration {:04}: number the files from 0001, without a gap",
            last + 1
        ));
    }
    let sql = std::str::from_utf8(content).map_err(|_| "this is not UTF-8: save it as UTF-8")?;
    let oldest = oldest(sql)?.unwrap_or(last_oldest);
    if !(last_oldest..=version).contains(&oldest) {
        return Err(format!(
            "\"{OLDEST} {oldest}\" is not valid: write a version from {last_oldest}, as in the migration before, to {version}, this one"
        ));
    }
    Ok(AppMigration {
        version,
        oldest,
        path: path.to_owned(),
        name: name.to_owned(),
        sha256: Sha256::digest(content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        sql: sql.to_owned(),
    })
}

/// The number of a file named `NNNN_name.sql`.
fn number(name: &str) -> Option<i64> {
    let (number, rest) = name.split_once('_')?;
    let title = rest.strip_suffix(".sql")?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = !title.is_empty() && title.bytes().all(is_allowed);
    number.parse().ok().filter(|_| is_number && is_name)
}

/// The version that the first line names.
fn oldest(sql: &str) -> Result<Option<i64>, String> {
    let mut lines = sql.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    if let Some(number) = first.strip_prefix(OLDEST) {
        let number = number.trim();
        return match number.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!(
                "{number:?} is not a version: write the oldest version that may still use the database, such as \"{OLDEST} 1\""
            )),
        };
    }
    match lines.find(|line| line.starts_with(OLDEST)) {
        Some(line) => Err(format!("{line:?} must be the first line: move it there")),
        None => Ok(None),
    }
}
