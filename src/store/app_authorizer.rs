//! Stops a migration of the application that does what it must not: SQLite asks before it compiles a statement.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Pragmas that only read.
const PRAGMAS: [&str; 6] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "table_info",
    "table_xinfo",
];

/// Why a migration was stopped. SQLite itself says only "not authorized".
#[derive(Clone, Default)]
pub(super) struct Objections(Arc<Mutex<Option<String>>>);

impl Objections {
    pub fn first(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(super) fn authorizer(
    objections: Objections,
) -> impl for<'a> FnMut(AuthContext<'a>) -> Authorization + Send + 'static {
    move |context| match objection(&context.action) {
        None => Authorization::Allow,
        Some(objection) => {
            let mut first = objections.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(objection);
            Authorization::Deny
        }
    }
}

pub(super) fn remove(connection: &Connection) -> rusqlite::Result<()> {
    let none: Option<fn(AuthContext<'_>) -> Authorization> = None;
    connection.authorizer(none)
}

fn objection(action: &AuthAction<'_>) -> Option<String> {
    use AuthAction::*;
    match *action {
        Transaction { .. } | Savepoint { .. } => Some(
            "it begins or ends a transaction: remove that, because all migrations run in one".to_owned(),
        ),
        Attach { .. } | Detach { .. } => {
            Some("it attaches another database: use this one alone".to_owned())
        }
        Pragma { pragma_name, .. } if !PRAGMAS.contains(&pragma_name.to_lowercase().as_str()) => {
            Some(format!("it uses `pragma {pragma_name}`: remove it, because daybook sets all pragmas"))
        }
        AlterTable { table_name, .. }
        | CreateTable { table_name }
        | CreateTempTable { table_name }
        | CreateTempTrigger { table_name, .. }
        | CreateTrigger { table_name, .. }
        | CreateVtable { table_name, .. }
        | Delete { table_name }
        | DropTable { table_name }
        | DropTrigger { table_name, .. }
        | DropVtable { table_name, .. }
        | Insert { table_name }
        | Update { table_name, .. } => is_daybooks(table_name).then(|| {
            format!("it changes `{table_name}`, which is daybook's: use tables of other names, and triggers on them alone")
        }),
        CreateView { view_name } | CreateTempView { view_name } => is_daybooks(view_name)
            .then(|| format!("it creates `{view_name}`, a name of daybook's: use another name")),
        _ => None,
    }
}

fn is_daybooks(table: &str) -> bool {
    let table = table.to_lowercase();
    ["requests", "app_schema", "app_migrations"].contains(&table.as_str())
        || table.starts_with("daybook_")
}
