//! The schema of the database: its migrations, and how to tell a database of daybook from another program's.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::app_schema::{AppInfo, AppSchema};
use super::open_error::OpenError;

/// "dayb".
pub(super) const APPLICATION_ID: i32 = 0x6461_7962;

/// One step of the schema. `oldest` is the oldest schema version whose program may still use the file afterwards, so
/// that a rollback after a migration works.
pub(super) struct Migration {
    pub version: i64,
    oldest: i64,
    sql: &'static str,
}

impl Migration {
    /// Runs it within the caller's transaction.
    pub fn run(&self, transaction: &Connection) -> rusqlite::Result<()> {
        transaction.execute_batch(
            "create table if not exists daybook_schema (version integer not null, oldest integer not null)",
        )?;
        transaction.execute_batch(self.sql)?;
        transaction.execute("delete from daybook_schema", [])?;
        transaction.execute(
            "insert into daybook_schema (version, oldest) values (?, ?)",
            [self.version, self.oldest],
        )?;
        Ok(())
    }
}

/// In order; append only.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        oldest: 1,
        sql: include_str!("schema.sql"),
    },
    Migration {
        version: 2,
        oldest: 1,
        sql: include_str!("schema_2.sql"),
    },
];
/// The schema version of this program.
pub(super) const VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// A database file's description of itself.
pub(super) struct DatabaseInfo {
    application_id: i32,
    pub is_wal: bool,
    tables: Vec<String>,
    requests: Shape,
    /// None if there is a table `daybook_schema` without a valid version.
    versions: Option<Versions>,
    pub app: AppInfo,
}

/// The columns of the table `requests`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Exactly the seed's. Indexes do not count.
    Seed,
    /// The seed's and more: a later version of daybook may add columns.
    Extended,
    /// Others, or there is no such table.
    Other,
}

/// The row of `daybook_schema`; zeros if there is no such table.
#[derive(Clone, Copy)]
struct Versions {
    version: i64,
    oldest: i64,
}

impl DatabaseInfo {
    /// Reads all of it in one transaction: another process may be creating the database.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let transaction = connection.unchecked_transaction()?;
        let tables: Vec<String> = transaction
            .prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite^_%' escape '^' order by name")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let journal_mode: String =
            transaction.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Ok(Self {
            application_id: transaction
                .pragma_query_value(None, "application_id", |row| row.get(0))?,
            is_wal: journal_mode.eq_ignore_ascii_case("wal"),
            requests: shape_of_requests(&transaction)?,
            versions: versions(&transaction, &tables)?,
            app: AppInfo::read(&transaction, &tables)?,
            tables,
        })
    }

    /// Refuses a database that is damaged, too new, or another program's or application's.
    pub fn check(&self, path: &Path, app: &AppSchema) -> Result<(), OpenError> {
        self.check_own(path)?;
        self.app.check(path, app)
    }

    fn check_own(&self, path: &Path) -> Result<(), OpenError> {
        let path = path.to_owned();
        let why = match (self.application_id, self.versions) {
            (APPLICATION_ID, None) => {
                let why = "its table `daybook_schema` has no valid version".to_owned();
                return Err(OpenError::Damaged { path, why });
            }
            // A copy made from an SQL dump has lost its application_id.
            (APPLICATION_ID | 0, Some(Versions { version, oldest })) if oldest > VERSION => {
                return Err(OpenError::TooNew {
                    path,
                    found: version,
                    oldest,
                    supported: VERSION,
                });
            }
            (APPLICATION_ID, _) if self.requests != Shape::Other => return Ok(()),
            (APPLICATION_ID, _) => {
                let why = "its table `requests` is missing or lacks columns".to_owned();
                return Err(OpenError::Damaged { path, why });
            }
            (0, _) if self.tables.is_empty() => return Ok(()),
            (0, None) => "its table `daybook_schema` is not daybook's".to_owned(),
            (0, Some(Versions { version: 1.., .. })) if self.requests != Shape::Other => {
                return Ok(());
            }
            (0, _) if self.requests == Shape::Seed => return Ok(()),
            (0, _) if self.has_table("requests") => {
                "its table `requests` has other columns".to_owned()
            }
            (0, _) => format!("its tables are {}", self.tables.join(", ")),
            (other, _) => format!("its application_id is {other:#010x}"),
        };
        Err(OpenError::Foreign { path, why })
    }

    fn has_table(&self, table: &str) -> bool {
        self.tables.iter().any(|name| name == table)
    }

    /// Whether the file has no tables yet.
    pub fn is_new(&self) -> bool {
        self.tables.is_empty()
    }

    /// Whether it needs no migration.
    pub fn is_current(&self, app: &AppSchema) -> bool {
        self.version() >= VERSION
            && self.application_id == APPLICATION_ID
            && self.app.version() >= app.version()
    }

    /// daybook's own steps that it needs.
    pub fn pending(&self) -> impl Iterator<Item = &'static Migration> {
        let version = self.version();
        MIGRATIONS.iter().filter(move |step| step.version > version)
    }

    fn version(&self) -> i64 {
        self.versions.map_or(0, |versions| versions.version)
    }
}

fn versions(connection: &Connection, tables: &[String]) -> rusqlite::Result<Option<Versions>> {
    if !tables.iter().any(|name| name == "daybook_schema") {
        return Ok(Some(Versions {
            version: 0,
            oldest: 0,
        }));
    }
    let columns: i64 = connection.query_row(
        "select count(*) from pragma_table_info('daybook_schema') where name in ('version', 'oldest')",
        [],
        |row| row.get(0),
    )?;
    if columns != 2 {
        return Ok(None);
    }
    let rows: Vec<(Value, Value)> = connection
        .prepare("select version, oldest from daybook_schema limit 2")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(match rows[..] {
        [(Value::Integer(version), Value::Integer(oldest))] => Some(Versions { version, oldest }),
        _ => None,
    })
}

fn shape_of_requests(connection: &Connection) -> rusqlite::Result<Shape> {
    const COLUMNS: [(&str, &str, bool, bool); 6] = [
        ("id", "integer", false, true),
        ("timestamp", "real", true, false),
        ("method", "text", true, false),
        ("path", "text", true, false),
        ("content_length", "integer", true, false),
        ("remote_addr", "text", false, false),
    ];
    let columns: Vec<(String, String, bool, bool)> = connection
        .prepare("select name, lower(type), \"notnull\", pk from pragma_table_info('requests') order by cid")?
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, kind, not_null, key)| (name.as_str(), kind.as_str(), *not_null, *key))
        .collect();
    if !COLUMNS.iter().all(|column| columns.contains(column)) {
        return Ok(Shape::Other);
    }
    // An exact comparison: for SQLite itself, `Requests` is the same table.
    let sql: Option<String> = connection
        .query_row(
            "select lower(sql) from sqlite_schema where type = 'table' and name = 'requests'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(match sql {
        Some(sql) if !sql.contains("autoincrement") => Shape::Other,
        Some(_) if columns == COLUMNS => Shape::Seed,
        Some(_) => Shape::Extended,
        None => Shape::Other,
    })
}

/// Lets this connection read the table of an older version: a view of the same name, which only it sees, adds the columns that
/// the table lacks.
pub(super) fn add_missing_columns(connection: &Connection) -> rusqlite::Result<()> {
    let has_outcome = connection.query_row(
        "select count(*) from pragma_table_info('requests') where name in ('status', 'duration_us')",
        [],
        |row| Ok(row.get::<_, i64>(0)? == 2),
    )?;
    if has_outcome {
        return Ok(());
    }
    connection.execute_batch(
        "create temp view requests as select *, null as status, null as duration_us from main.requests",
    )
}

/// Two subqueries: one `select` with both `min` and `max` reads the whole table.
const BOTH_ENDS: &str = "select (select min(id) from requests), (select max(id) from requests),
    (select seq from sqlite_sequence where name = 'requests')";

/// Reads both ends of the table, which fails on a truncated or overwritten file. (`pragma integrity_check` takes seconds
/// for each gigabyte, and start-up has milliseconds: it is for a restored copy.)
pub(super) fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row(BOTH_ENDS, [], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_of_a_large_table_does_not_read_all_of_it() {
        let connection = Connection::open_in_memory().expect("a database in memory");
        for migration in MIGRATIONS {
            migration.run(&connection).expect("a current schema");
        }
        let plan: Vec<String> = connection
            .prepare(&format!("explain query plan {BOTH_ENDS}"))
            .and_then(|mut plan| plan.query_map([], |row| row.get("detail"))?.collect())
            .expect("a plan");
        let begins = |with: &str| plan.iter().filter(|step| step.starts_with(with)).count();
        assert_eq!(begins("SCAN requests"), 0, "{plan:#?}");
        assert_eq!(begins("SEARCH requests"), 2, "{plan:#?}");
    }
}
