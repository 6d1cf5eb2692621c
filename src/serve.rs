//! `daybook serve`: open, listen, run, drain, exit.

use std::panic::resume_unwind;
use std::sync::Arc;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

use crate::admin::{self, Admin};
use crate::config::{Config, Listen};
use crate::http::accept::Acceptor;
use crate::http::client_address::Peer;
use crate::http::guard::{ConnectionState, HeadBudget, Limits};
use crate::http::layers::app;
use crate::http::listen::{Inherited, ListenError, Listener, Sharing, bind};
use crate::http::recorder::Recorder;
use crate::metrics::Metrics;
use crate::process::drain::{Drain, Public};
use crate::process::exit::why_writer_ended;
pub use crate::process::exit::{ServeError, StopOutcome};
use crate::process::scheduling;
use crate::process::{file_descriptors, systemd};
use crate::readiness::Readiness;
use crate::shutdown::{Shutdown, Stop};
use crate::store::{OpenError, Opened, Reader, Store};
use crate::telemetry;

/// Connections of all admin listeners together.
const ADMIN_CONNECTIONS_MAX: usize = 256;

/// Where a server really listens, in the forms of the configuration.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The public listeners.
    pub listen: Vec<String>,
    /// The operator's.
    pub admin_listen: Vec<String>,
}

/// Serves `routes` until `stops` says to stop, and then until everything that was begun has ended. `on_ready` is
/// called once requests are answered.
///
/// A blocking thread may outlast it, with a long read or a database that is still being opened: end the runtime with
/// `shutdown_background`, or it waits for that.
///
/// # Errors
/// [`ServeError`], which knows whether a restart could help.
pub async fn serve(
    mut config: Config,
    routes: Router,
    mut inherited: Inherited,
    mut stops: mpsc::Receiver<Stop>,
    on_ready: impl FnOnce(Addresses),
) -> Result<StopOutcome, ServeError> {
    // First of all: the threads to come inherit it.
    if let Err(error) = scheduling::do_not_preempt() {
        tracing::warn!(%error, "the scheduling policy cannot be set: under full load fewer requests will share a commit");
    }
    config.http.connections_max = file_descriptors::connections_max(
        &config,
        ADMIN_CONNECTIONS_MAX,
        file_descriptors::raise_limit(),
    )?;
    let config = Arc::new(config);
    let metrics = Arc::new(Metrics::new(&config.replica)?);
    // The database first: nothing listens that cannot record. Others may hold it for ever: a signal is heard meanwhile,
    // and must be, for none ends the first process of a container by itself.
    let opening = spawn_blocking({
        let (config, metrics) = (config.clone(), metrics.clone());
        move || {
            let opened = Store::open(&config.database, &config.commit, &metrics)?;
            Ok::<_, OpenError>((opened, Reader::open(&config.database)?))
        }
    });
    let (
        Opened {
            store,
            mut writer_ended,
        },
        reader,
    ) = tokio::select! {
        opened = opening => opened.unwrap_or_else(|error| resume_unwind(error.into_panic()))?,
        Some(stop) = stops.recv() => {
            tracing::info!(signal = stop.signal(), "stopping before the database is open");
            return Ok(StopOutcome::NotStarted);
        }
    };
    let listeners = bind_all(
        "listen",
        &config.listen,
        Sharing::Replicas(store.path()),
        &mut inherited,
    )?;
    let operators = bind_all(
        "admin.listen",
        &config.admin_listen,
        Sharing::Exclusive,
        &mut inherited,
    )?;
    let addresses = Addresses {
        listen: listeners.iter().map(Listener::to_string).collect(),
        admin_listen: operators.iter().map(Listener::to_string).collect(),
    };

    let shutdown = Shutdown::new();
    let readiness = Readiness::new(store.clone(), shutdown.watch(), config.commit.deadline);
    let heads = HeadBudget::new(config.http.heads_bytes_in_flight_max);
    let mut public = accept_public(
        &config,
        routes,
        &store,
        &metrics,
        &readiness,
        &shutdown,
        heads.clone(),
        listeners,
    );
    let admin = Arc::new(Admin {
        store: store.clone(),
        reader: reader.clone(),
        metrics: metrics.clone(),
        readiness,
        heads,
    });
    // These end with the process, so that a drain can be watched.
    let (mut operators, _admin_runs_on) = accept_admin(&config, admin, operators);
    tokio::spawn(systemd::feed_watchdog(store.clone()));
    tokio::spawn(telemetry::summarise_repeated());
    metrics.recording.set(config.record.into());
    log_start(&config, &store, &addresses);
    systemd::ready();
    on_ready(addresses);

    let stop = tokio::select! {
        ended = &mut writer_ended => return Err(why_writer_ended(ended)),
        // The loops end at a shutdown, and else by a defect alone.
        Some(Err(error)) = public.listeners.join_next() => return Err(ServeError::ListenerGone(error)),
        Some(Err(error)) = operators.join_next() => return Err(ServeError::ListenerGone(error)),
        stop = stops.recv() => stop,
    };
    tracing::info!(signal = stop.map(Stop::signal), "stopping");
    systemd::stopping();
    let drain = Drain {
        config: &config,
        shutdown: &shutdown,
        public: &mut public,
        store: &store,
        reader: &reader,
        writer_ended: &mut writer_ended,
    };
    tokio::select! {
        ended = drain.run() => ended,
        Some(stop) = stops.recv() => Ok(StopOutcome::Forced(stop)),
    }
}

fn bind_all(
    key: &'static str,
    listens: &[Listen],
    sharing: Sharing<'_>,
    inherited: &mut Inherited,
) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for listen in listens {
        listeners.extend(bind(key, listen, sharing, inherited)?);
    }
    Ok(listeners)
}

/// Starts the public listeners.
#[allow(clippy::too_many_arguments)] // Each part of a server is one.
fn accept_public(
    config: &Arc<Config>,
    routes: Router,
    store: &Store,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
    shutdown: &Shutdown,
    heads: HeadBudget,
    listeners: Vec<Listener>,
) -> Public {
    let recorder = Arc::new(Recorder::new(
        config.clone(),
        app(routes),
        store.clone(),
        metrics.clone(),
        readiness.clone(),
        shutdown.watch(),
    ));
    let connections = Arc::new(Semaphore::new(config.http.connections_max));
    let acceptor = Acceptor {
        limits: Limits::new(&config.http, config.shutdown.grace),
        heads,
        phase: shutdown.watch(),
        connections: connections.clone(),
        metrics: Some(metrics.clone()),
        answer: move |peer: Peer, exchange: Arc<ConnectionState>, request: Request<Incoming>| {
            let recorder = recorder.clone();
            async move { recorder.answer(peer, &exchange, request).await }
        },
    };
    Public {
        listeners: listeners
            .into_iter()
            .map(|listener| acceptor.clone().run(listener))
            .collect(),
        connections,
    }
}

/// Starts the admin listeners, which run as long as the result lives.
fn accept_admin(
    config: &Config,
    admin: Arc<Admin>,
    listeners: Vec<Listener>,
) -> (JoinSet<()>, Shutdown) {
    let router = admin::router(admin);
    let hosts: Arc<[String]> = config.admin_hosts.as_slice().into();
    let never = Shutdown::new();
    let acceptor = Acceptor {
        limits: Limits::new(&config.http, config.shutdown.grace),
        // Its own, so that no client takes the operator's.
        heads: HeadBudget::new(config.http.heads_bytes_in_flight_max),
        phase: never.watch(),
        connections: Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX)),
        metrics: None,
        answer: move |peer: Peer, exchange: Arc<ConnectionState>, request: Request<Incoming>| {
            admin::answer(router.clone(), hosts.clone(), peer, exchange, request)
        },
    };
    let loops = listeners
        .into_iter()
        .map(|listener| acceptor.clone().run(listener))
        .collect();
    (loops, never)
}

fn log_start(config: &Config, store: &Store, addresses: &Addresses) {
    let sizes = store.sizes();
    if !config.record {
        tracing::warn!("record = false: requests are answered and NOT recorded");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        sqlite = rusqlite::version(),
        database = %store.path().display(),
        database_bytes = sizes.database_bytes,
        synchronous = config.database.synchronous.as_str(),
        listen = ?addresses.listen,
        admin_listen = ?addresses.admin_listen,
        "ready"
    );
}
