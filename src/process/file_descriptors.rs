//! Raises the limit of open files, and derives from it how many client connections fit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::store::ADMIN_READERS;

/// The database file, its write-ahead log and its shared memory.
const PER_DATABASE_CONNECTION: usize = 3;
/// The listener, and one accepted connection that waits for a permit.
const PER_LISTENER: usize = 2;
/// Standard streams, the event loop, signals, locks, what a scrape reads in /proc, files that an application opens; with
/// room to spare.
const OTHERS: usize = 100;

/// Not even one client connection fits.
#[derive(Debug, thiserror::Error)]
#[error(
    "the limit of open files is {limit}; daybook needs more than {reserved} (database, listeners and admin connections take {reserved}): raise it with ulimit -n, LimitNOFILE= or --ulimit nofile="
)]
pub struct TooFewDescriptors {
    limit: usize,
    reserved: usize,
}

/// Raises the soft limit of open files to the hard one and returns it. (The usual soft limit of 1,024 protects programs
/// that call select(2); this one does not.)
pub fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // A sandbox may forbid it.
        Err(_) => limit.current,
    };
    // `None` means unlimited.
    current.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// Returns `http.connections_max`, or less where `limit` leaves no room for that many.
///
/// # Errors
/// [`TooFewDescriptors`]
pub fn connections_max(
    config: &Config,
    admin_connections_max: usize,
    limit: usize,
) -> Result<usize, TooFewDescriptors> {
    let listeners = config.listen.len() + config.admin.listen.len();
    // The writer, the checkpointer and the readers of both pools.
    let database_connections = 2 + config.database.readers_max.get() + ADMIN_READERS;
    let reserved = admin_connections_max
        + listeners * PER_LISTENER
        + database_connections * PER_DATABASE_CONNECTION
        + OTHERS;
    let room = limit.saturating_sub(reserved);
    if room == 0 {
        return Err(TooFewDescriptors { limit, reserved });
    }
    let wanted = config.http.connections_max.get();
    if room < wanted {
        tracing::warn!(
            open_files_max = limit,
            open_files_wanted = wanted + reserved,
            connections_max = room,
            "the limit of open files is too low for http.connections_max: using connections_max instead"
        );
    }
    Ok(room.min(wanted))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_from;

    #[test]
    fn connections_get_the_descriptors_that_everything_else_leaves() {
        let environment = [
            ("DAYBOOK_LISTEN", "[\"127.0.0.1:1\", \"127.0.0.1:2\"]"),
            ("DAYBOOK_DATABASE__READERS_MAX", "6"),
        ];
        let environment = environment.map(|(key, value)| (key.into(), value.into()));
        let config = load_from(None, environment, Path::new("/nonexistent")).unwrap();
        // 3 listeners take 2 each, 10 connections to the database 3 each, the operator 50, all else 100.
        let reserved = 6 + 30 + 50 + 100;
        let most = |limit| connections_max(&config, 50, limit);
        assert_eq!(most(reserved + 7).unwrap(), 7);
        assert_eq!(most(1_000_000).unwrap(), 10_000);
        let error = most(reserved).unwrap_err().to_string();
        assert!(
            error.contains(" 186; daybook needs more than 186 "),
            "{error}"
        );
    }
}
