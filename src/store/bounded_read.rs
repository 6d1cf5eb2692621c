//! One read on a connection of the pool: it sees one snapshot, ends at its deadline, and leaves the connection as it was.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, TransactionState};

use super::read_error::ReadError;

/// SQLite looks at the deadline after so many steps of its virtual machine: about every 20 µs.
const STEPS: i32 = 1000;

/// Pragmas that take a value and change nothing.
const READING_PRAGMAS: [&str; 10] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

thread_local! {
    /// The read that runs on this thread, or the last one if it panicked. SQLite's callbacks are installed once, on connections
    /// that move between threads.
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Current {
    deadline: Instant,
    /// The read was stopped for its deadline.
    is_stopped: bool,
}

/// A read's result, and whether its connection can serve the next one.
pub(super) struct Done<T, E> {
    pub result: Result<T, ReadError<E>>,
    pub is_reusable: bool,
}

/// Prepares a new connection of the pool.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // `mode=ro` protects the database; this also refuses temporary tables, which would stay on the connection.
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.authorizer(Some(authorize))
}

/// Runs `read` in a transaction of its own, so that all its statements see the same snapshot, until `deadline`.
pub(super) fn run<T, E>(
    connection: &Connection,
    deadline: Instant,
    limit: Duration,
    busy_timeout: Duration,
    read: impl FnOnce(&Connection) -> Result<T, E>,
) -> Done<T, E> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        // The thread that runs it came too late.
        return Done {
            result: Err(ReadError::TimedOut(limit)),
            is_reusable: true,
        };
    }
    CURRENT.set(Some(Current {
        deadline,
        is_stopped: false,
    }));
    let result = begin(connection, left.min(busy_timeout))
        .map_err(ReadError::Sqlite)
        .and_then(|()| read(connection).map_err(ReadError::Closure));
    let result = match (result, CURRENT.take()) {
        // A closure may also return what it has found until then.
        (
            Err(_),
            Some(Current {
                is_stopped: true, ..
            }),
        ) => Err(ReadError::TimedOut(limit)),
        (result, _) => result,
    };
    Done {
        result,
        is_reusable: end(connection),
    }
}

/// Sets what an earlier closure can have changed, and begins.
fn begin(connection: &Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy_timeout)?;
    connection.progress_handler(STEPS, Some(must_stop))?;
    connection.prepare_cached("begin")?.raw_execute().map(drop)
}

/// Ends the transaction, or what the closure has made of it. Returns whether nothing holds the snapshot any more: that
/// would keep the WAL from its reset.
fn end(connection: &Connection) -> bool {
    let rollback = || connection.prepare_cached("rollback")?.raw_execute();
    let has_ended = connection.is_autocommit() || rollback().is_ok();
    let state = connection.transaction_state(None::<&str>);
    has_ended && state == Ok(TransactionState::None)
}

/// SQLite's progress handler: whether the deadline of this thread's read is over.
fn must_stop() -> bool {
    let Some(current) = CURRENT.get() else {
        return false;
    };
    let is_stopped = Instant::now() >= current.deadline;
    if is_stopped {
        CURRENT.set(Some(Current {
            is_stopped,
            ..current
        }));
    }
    is_stopped
}

/// SQLite asks for each statement that it prepares. Refuses what would outlast the read on its connection, and everything
/// after the deadline: a loop of short statements does not reach the progress handler.
fn authorize(context: AuthContext<'_>) -> Authorization {
    if must_stop() {
        return Authorization::Deny;
    }
    match context.action {
        // SQLite would open the other file for writing.
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        AuthAction::Pragma {
            pragma_name,
            pragma_value: Some(_),
        } if !READING_PRAGMAS.contains(&pragma_name.to_ascii_lowercase().as_str()) => {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }
}
