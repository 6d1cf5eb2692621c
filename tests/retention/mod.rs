//! Retention: the oldest records go, by age and by size; nothing else does.

mod bounds;
mod replicas;
mod spared;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::common::command::daybook;
use crate::common::config::Config;
use crate::common::db;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
/// The smallest `retention.bytes_max`.
const BYTES_MAX: i64 = 1 << 20;

/// A database that no replica serves yet. A new replica's first run of retention is at once.
struct Database {
    path: PathBuf,
    db: Connection,
    _dir: TempDir,
}

impl Database {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("requests.db");
        let variables = [("DAYBOOK_DATABASE__PATH", path.to_str().expect("text"))];
        let run = daybook(dir.path(), &["init"], &variables);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        Self {
            db: db::open(&path),
            path,
            _dir: dir,
        }
    }

    /// Adds records whose timestamp is an SQL expression.
    fn add_with(&self, rows: i64, timestamp: &str) {
        let sql = format!(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})
             insert into requests (timestamp, method, path, content_length)
             select {timestamp}, 'GET', '/some/path/' || i, 0 from n"
        );
        let added = self.db.execute(&sql, []);
        assert_eq!(added, Ok(rows as usize));
    }

    /// Adds records of that age in seconds.
    fn add(&self, rows: i64, age: f64) {
        self.add_with(rows, &format!("unixepoch() - {age:?}"));
    }

    fn number(&self, sql: &str) -> i64 {
        self.db.query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    fn rows(&self) -> i64 {
        db::count(&self.db)
    }

    /// The pages of `requests`.
    fn table_bytes(&self) -> i64 {
        self.number("select sum(pgsize) from dbstat where name = 'requests'")
    }

    fn file_pages(&self) -> i64 {
        self.number("select page_count from pragma_page_count")
    }

    /// A replica with these keys of `[retention]`, as TOML.
    fn serve(&self, keys: &[(&str, &str)]) -> Server {
        serve(&self.path, |config| {
            for (key, value) in keys {
                config.set(&format!("retention.{key}"), value);
            }
        })
    }

    /// Waits until a run has succeeded.
    fn wait_for_run(&self) {
        eventually("the job has run", TIMEOUT, || {
            let sql = "select succeeded_at from daybook_jobs where name = 'daybook-retention'";
            let row = self
                .db
                .query_row(sql, [], |row| row.get::<_, Option<f64>>(0));
            row.is_ok_and(|succeeded_at| succeeded_at.is_some())
        });
    }

    /// Lets the next replica run the job at once.
    fn forget_last_run(&self) {
        let sql = "delete from daybook_jobs where name = 'daybook-retention'";
        self.db.execute(sql, []).expect("a deletion");
    }
}

fn serve(path: &Path, configure: impl FnOnce(&mut Config)) -> Server {
    Server::with(|config| {
        config.text("database.path", path.display());
        configure(config);
    })
}

fn deleted(server: &Server) -> f64 {
    server.metric("daybook_retention_deleted_records_total", &[])
}
