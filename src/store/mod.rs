//! The database: one writer thread behind the cloneable handle `Store`, and a pool of readers.
//!
//! A request appends its record to the bounded `queue` and waits. The `writer` commits all waiting records as one batch;
//! the dispatcher, a task on the event loop, then wakes all requests of the batch.

mod app_authorizer;
mod app_migration_checks;
mod app_schema;
mod bounded_read;
mod checkpoint;
mod dispatch;
mod fatal_error;
mod file_identity;
mod filesystem;
mod follow;
mod group_commit;
mod handle;
mod insert;
mod litestream;
mod location;
mod lock;
mod lost_commits;
mod migrate;
mod newest_id;
mod open;
mod open_error;
mod outcome;
mod paths;
mod queue;
mod read_error;
mod read_only;
mod reader;
mod record;
mod schema;
mod sqlite_errors;
mod transaction;
mod wal_file;
mod write;
mod writer;
mod writer_status;

pub use open_error::OpenError;
pub use read_error::ReadError;
pub use write::WriteError;

pub(crate) use app_schema::{AppMigration, AppSchema};
pub(crate) use fatal_error::FatalError;
pub(crate) use follow::{Found, Look};
pub(crate) use handle::{ADMIN_READERS, Opened, Store};
pub(crate) use newest_id::NewestIdError;
pub(crate) use open::init;
pub(crate) use outcome::{AppendError, Outcome};
pub(crate) use paths::beside;
pub(crate) use read_only::ReadOnlyDatabase;
pub(crate) use record::{Record, RequestOutcome, StoredRecord, select_sql};
pub(crate) use write::split as split_write;
pub(crate) use writer_status::WriterState;
