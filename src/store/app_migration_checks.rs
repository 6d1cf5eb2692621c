//! Checks the database after an application's migrations. (While they run, the authorizer refuses more.)

use rusqlite::Connection;

/// The state before the migrations.
pub struct AppMigrationChecks {
    newest_id: Option<i64>,
}

impl AppMigrationChecks {
    pub fn before(connection: &Connection) -> rusqlite::Result<Self> {
        let newest_id = newest_id(connection)?;
        Ok(Self { newest_id })
    }

    /// A reason to undo the migrations, if there is one.
    pub fn objection(&self, connection: &Connection) -> rusqlite::Result<Option<String>> {
        if self.newest_id != newest_id(connection)? {
            return Ok(Some(
                "they change the ids of `requests`: leave `sqlite_sequence` alone".to_owned(),
            ));
        }
        match foreign_key_to_requests(connection)? {
            None => broken_foreign_key(connection),
            objection => Ok(objection),
        }
    }
}

/// The newest id that `requests` has given out.
fn newest_id(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "select max(seq) from sqlite_sequence where name = 'requests'";
    connection.query_row(sql, [], |row| row.get(0))
}

/// The records of old requests may be deleted, so nothing may refer to them.
fn foreign_key_to_requests(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "select m.name from sqlite_schema m, pragma_foreign_key_list(m.name) f
        where m.type = 'table' and lower(f.\"table\") = 'requests'";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let table: String = row.get(0)?;
    Ok(Some(format!(
        "table `{table}` has a foreign key to `requests`, whose old rows may be deleted: keep the id without one"
    )))
}

/// Foreign keys were not enforced while the migrations ran.
fn broken_foreign_key(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare("pragma foreign_key_check")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let (table, id, parent): (String, Option<i64>, String) =
        (row.get(0)?, row.get(1)?, row.get(2)?);
    let id = id.map(|id| format!("row {id} of ")).unwrap_or_default();
    Ok(Some(format!(
        "afterwards {id}`{table}` refers to a row of `{parent}` that does not exist: delete or mend it in the migration"
    )))
}
