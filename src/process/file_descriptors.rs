//! File descriptors: how many this process may have, and how many clients that leaves room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// What a database connection takes: the file, its log, its index.
const PER_DATABASE_CONNECTION: usize = 3;
/// What a listener takes: itself, and a connection that is accepted and waits for its turn.
const PER_LISTENER: usize = 2;
/// For all else, with room to spare: standard streams, the event loop, signals, locks, what a scrape reads in /proc, and
/// files that an application opens.
const OTHERS: usize = 100;

/// There are too few to serve anybody.
#[derive(Debug, thiserror::Error)]
#[error(
    "the limit of open files is {limit}, and daybook needs {kept} for its database, its listeners and the operator before it can serve one client: raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)"
)]
pub struct TooFewDescriptors {
    limit: usize,
    kept: usize,
}

/// Raises the limit of open files as far as it goes without privileges, and returns it. (The usual soft limit of 1,024 is
/// there for programs that call select(2), which can wait for no higher descriptor. Nothing here does.)
pub fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Where a sandbox forbids it, what is there has to do.
        Err(_) => limit.current,
    };
    // None: no limit.
    current.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// How many public connections may be open: `http.connections_max`, or fewer where the limit leaves no room for them. What
/// the operator's connections, the database and the rest need is kept back.
///
/// # Errors
/// [`TooFewDescriptors`]: not one.
pub fn connections_max(
    config: &Config,
    admin_connections_max: usize,
    limit: usize,
) -> Result<usize, TooFewDescriptors> {
    let listeners = config.listen.len() + config.admin.listen.len();
    // The writer's, the checkpointer's, and the readers'.
    let database_connections = 2 + config.database.readers_max.get();
    let kept = admin_connections_max
        + listeners * PER_LISTENER
        + database_connections * PER_DATABASE_CONNECTION
        + OTHERS;
    let room = limit.saturating_sub(kept);
    if room == 0 {
        return Err(TooFewDescriptors { limit, kept });
    }
    let wanted = config.http.connections_max.get();
    if room < wanted {
        tracing::warn!(
            open_files_max = limit,
            open_files_wanted = wanted + kept,
            connections_max = room,
            "the limit of open files is too low for http.connections_max: fewer connections are served at a time"
        );
    }
    Ok(room.min(wanted))
}
