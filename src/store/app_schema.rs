//! The application's part of the schema: what the program brings, what the file says, and whether they fit.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::open_error::OpenError;

/// An application's name and its migrations, in order and without a gap.
#[derive(Clone)]
pub(crate) struct AppSchema {
    pub application: &'static str,
    pub migrations: Vec<AppMigration>,
}

/// One file of an application's migrations.
#[derive(Clone)]
pub(crate) struct AppMigration {
    pub version: i64,
    /// The oldest version whose program may still use the database afterwards.
    pub oldest: i64,
    /// For messages: `migrations/0001_notes.sql`.
    pub path: String,
    /// The file's name.
    pub name: String,
    pub sha256: String,
    pub sql: String,
}

impl AppSchema {
    pub fn version(&self) -> i64 {
        self.migrations.last().map_or(0, |last| last.version)
    }

    /// The migrations that a file at `version` needs.
    pub fn after(&self, version: i64) -> impl Iterator<Item = &AppMigration> {
        self.migrations
            .iter()
            .filter(move |step| step.version > version)
    }
}

/// A database file's description of its application.
pub(super) enum AppInfo {
    /// No application with migrations has used it.
    None,
    Application {
        /// The row of `app_schema`.
        name: String,
        version: i64,
        oldest: i64,
        /// Version and checksum of each migration that ran.
        applied: Vec<(i64, String)>,
    },
    Invalid(&'static str),
}

impl AppInfo {
    pub fn read(connection: &Connection, tables: &[String]) -> rusqlite::Result<Self> {
        let has = |table: &str| tables.iter().any(|name| name == table);
        if !has("app_schema") {
            return Ok(Self::None);
        }
        const INVALID: AppInfo = AppInfo::Invalid("its table `app_schema` is not daybook's");
        if columns(connection, "app_schema", "'name', 'version', 'oldest'")? != 3 {
            return Ok(INVALID);
        }
        let rows: Vec<(Value, Value, Value)> = connection
            .prepare("select name, version, oldest from app_schema limit 2")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let [(Value::Text(name), Value::Integer(version), Value::Integer(oldest))] = &rows[..]
        else {
            return Ok(INVALID);
        };
        if columns(connection, "app_migrations", "'version', 'sha256'")? != 2 {
            return Ok(Self::Invalid(
                "its table `app_migrations` is missing or lacks columns",
            ));
        }
        let applied = connection
            .prepare("select version, sha256 from app_migrations")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self::Application {
            name: name.clone(),
            version: *version,
            oldest: *oldest,
            applied,
        })
    }

    /// The version of the application's schema.
    pub fn version(&self) -> i64 {
        match self {
            Self::Application { version, .. } => *version,
            Self::None | Self::Invalid(_) => 0,
        }
    }

    /// Refuses a file of another application, one that is too new, and one that other migrations have made.
    pub fn check(&self, path: &Path, app: &AppSchema) -> Result<(), OpenError> {
        let path = path.to_owned();
        let (name, version, oldest, applied) = match self {
            Self::None => return Ok(()),
            Self::Invalid(why) => {
                let why = (*why).to_owned();
                return Err(OpenError::Damaged { path, why });
            }
            Self::Application {
                name,
                version,
                oldest,
                applied,
            } => (name, *version, *oldest, applied),
        };
        if name != app.application {
            return Err(OpenError::OtherApplication {
                path,
                found: name.clone(),
                program: app.application,
            });
        }
        let supported = app.version();
        if oldest > supported {
            return Err(OpenError::AppTooNew {
                path,
                application: app.application,
                found: version,
                oldest,
                supported,
            });
        }
        for migration in app.migrations.iter().filter(|step| step.version <= version) {
            match applied
                .iter()
                .find(|(version, _)| *version == migration.version)
            {
                Some((_, sha256)) if *sha256 == migration.sha256 => {}
                Some(_) => {
                    let file = migration.path.clone();
                    return Err(OpenError::MigrationChanged { path, file });
                }
                None => {
                    let version = migration.version;
                    let why =
                        format!("its table `app_migrations` has no row for version {version}");
                    return Err(OpenError::Damaged { path, why });
                }
            }
        }
        Ok(())
    }
}

/// How many of these columns the table has.
fn columns(connection: &Connection, table: &str, names: &str) -> rusqlite::Result<i64> {
    let sql = format!("select count(*) from pragma_table_info('{table}') where name in ({names})");
    connection.query_row(&sql, [], |row| row.get(0))
}
