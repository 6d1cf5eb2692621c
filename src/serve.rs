//! `daybook serve`: open, listen, run, drain, exit.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::accept::Acceptor;
use crate::admin::{self, Admin};
use crate::app::app;
use crate::client_address::Peer;
use crate::config::{Config, Listen};
use crate::guard::{Exchange, Limits};
use crate::listen::{Inherited, ListenError, Listener, Sharing, bind};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::recorder::Recorder;
use crate::shutdown::{Phase, Shutdown, Stop};
use crate::store::{Fatal, OpenError, Opened, Reader, Store};
use crate::{systemd, telemetry};

/// Connections of all admin listeners together.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// How long the last answers, those 503, have to leave after the grace period.
const FLUSH: Duration = Duration::from_secs(1);

/// Why a server did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each message is its documentation.
pub enum ServeError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Fatal(#[from] Fatal),
    #[error("the writer is gone")]
    WriterGone,
}

impl ServeError {
    /// Whether another try with the same configuration and file could go better.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Open(error) => error.may_pass(),
            Self::Listen(error) => error.may_pass(),
            Self::Fatal(error) => error.may_pass(),
            Self::Metrics(_) | Self::WriterGone => true,
        }
    }
}

/// How a server that was told to stop has ended. Its `Display` is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered, every record committed.
    Drained,
    /// The grace period was over before that.
    GraceExpired,
    /// A second signal came.
    Forced(Stop),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Drained => "every request is answered and every record committed",
            Self::GraceExpired => "shutdown.grace was over before every request was answered",
            Self::Forced(_) => "at once, by a second signal",
        })
    }
}

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
/// # Errors
/// [`ServeError`], which knows whether a restart could help.
pub async fn serve(
    config: Config,
    routes: Router,
    mut inherited: Inherited,
    mut stops: mpsc::Receiver<Stop>,
    on_ready: impl FnOnce(Addresses),
) -> Result<Ended, ServeError> {
    let config = Arc::new(config);
    let metrics = Arc::new(Metrics::new(&config.replica)?);
    // The database first: nothing listens that cannot record.
    let Opened {
        store,
        mut writer_ended,
    } = Store::open(&config.database, &config.commit, &metrics)?;
    let reader = Reader::open(&config.database)?;
    let listeners = bind_all("listen", &config.listen, Sharing::Shared, &mut inherited)?;
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
    let mut public = accept_public(
        &config, routes, &store, &metrics, &readiness, &shutdown, listeners,
    );
    let admin = Arc::new(Admin {
        store: store.clone(),
        reader: reader.clone(),
        metrics: metrics.clone(),
        readiness,
    });
    // Admin connections end with the process, so that a drain can be watched.
    let _admin_runs_on = accept_admin(&config, admin, operators);
    tokio::spawn(systemd::feed_watchdog(store.clone()));
    tokio::spawn(summarise_storms());
    metrics.recording.set(config.record.into());
    log_start(&config, &store, &addresses);
    systemd::ready();
    on_ready(addresses);

    let stop = tokio::select! {
        ended = &mut writer_ended => return Err(why_writer_ended(ended)),
        stop = stops.recv() => stop,
    };
    tracing::info!(signal = stop.map(Stop::signal), "stopping");
    systemd::stopping();
    let drained = tokio::select! {
        drained = drain(&config, &store, &shutdown, &mut public) => drained,
        ended = &mut writer_ended => return Err(why_writer_ended(ended)),
        Some(stop) = stops.recv() => return Ok(Ended::Forced(stop)),
    };
    let Some(deadline) = drained else {
        return Ok(Ended::GraceExpired);
    };
    reader.close();
    tokio::select! {
        ended = finish_writing(&store, &mut writer_ended, deadline) => ended,
        Some(stop) = stops.recv() => Ok(Ended::Forced(stop)),
    }
}

fn bind_all(
    key: &'static str,
    listens: &[Listen],
    sharing: Sharing,
    inherited: &mut Inherited,
) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for listen in listens {
        listeners.extend(bind(key, listen, sharing, inherited)?);
    }
    Ok(listeners)
}

/// What runs on the public listeners.
struct Public {
    /// The accepting loops.
    listeners: JoinSet<()>,
    /// Every permit is back when no connection is left.
    connections: Arc<Semaphore>,
}

/// Starts the public listeners.
fn accept_public(
    config: &Arc<Config>,
    routes: Router,
    store: &Store,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
    shutdown: &Shutdown,
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
        phase: shutdown.watch(),
        connections: connections.clone(),
        metrics: Some(metrics.clone()),
        answer: move |peer: Peer, exchange: Arc<Exchange>, request: Request<Incoming>| {
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
fn accept_admin(config: &Config, admin: Arc<Admin>, listeners: Vec<Listener>) -> Shutdown {
    let router = admin::router(admin);
    let never = Shutdown::new();
    let acceptor = Acceptor {
        limits: Limits::new(&config.http, config.shutdown.grace),
        phase: never.watch(),
        connections: Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX)),
        metrics: None,
        answer: move |_: Peer, exchange: Arc<Exchange>, request: Request<Incoming>| {
            admin::answer(router.clone(), exchange, request)
        },
    };
    for listener in listeners {
        tokio::spawn(acceptor.clone().run(listener));
    }
    never
}

/// From the first signal to the last connection. Returns when the grace period ends; none if it has ended before the last
/// connection did.
async fn drain(
    config: &Config,
    store: &Store,
    shutdown: &Shutdown,
    public: &mut Public,
) -> Option<Instant> {
    let all = config.http.connections_max as u32;
    shutdown.enter(Phase::Draining);
    tokio::time::sleep(config.shutdown.drain_delay).await;
    shutdown.enter(Phase::Closing);
    let deadline = Instant::now() + config.shutdown.grace;
    let all_closed = async {
        // First the listeners, which need permits for what is queued: whoever waits for all permits goes before them.
        while public.listeners.join_next().await.is_some() {}
        let _ = public.connections.acquire_many(all).await;
    };
    if timeout_at(deadline, all_closed).await.is_ok() {
        return Some(deadline);
    }
    tracing::error!(
        grace = ?config.shutdown.grace,
        queue_records = store.queue_records(),
        "open requests have outlasted shutdown.grace: the rest is answered 503"
    );
    // First the queue, so that nothing gets into it any more.
    store.refuse();
    shutdown.enter(Phase::Expired);
    let flushed = public.connections.acquire_many(all);
    let _ = timeout_at(Instant::now() + FLUSH, flushed).await;
    None
}

/// Commits what clients have left behind that are gone themselves, and closes the database; in what is left of the grace
/// period, but for a second at least.
async fn finish_writing(
    store: &Store,
    writer_ended: &mut tokio::sync::oneshot::Receiver<Result<(), Fatal>>,
    deadline: Instant,
) -> Result<Ended, ServeError> {
    store.stop();
    match timeout_at(deadline.max(Instant::now() + FLUSH), writer_ended).await {
        Ok(Ok(Ok(()))) => Ok(Ended::Drained),
        Ok(ended) => Err(why_writer_ended(ended)),
        // Nothing is left to write: it is closing, or waits for a lock that others hold.
        Err(_) if store.is_idle() => Ok(Ended::Drained),
        Err(_) => Ok(Ended::GraceExpired),
    }
}

fn why_writer_ended(
    ended: Result<Result<(), Fatal>, tokio::sync::oneshot::error::RecvError>,
) -> ServeError {
    match ended {
        Ok(Err(fatal)) => fatal.into(),
        Ok(Ok(())) | Err(_) => ServeError::WriterGone,
    }
}

async fn summarise_storms() {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        telemetry::summarise_storms();
    }
}

fn log_start(config: &Config, store: &Store, addresses: &Addresses) {
    let sizes = store.sizes();
    if !config.record {
        tracing::warn!("record = false: requests are answered and NOT recorded");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        sqlite = crate::store::sqlite_version(),
        database = %store.path().display(),
        database_bytes = sizes.database_bytes,
        synchronous = config.database.synchronous.as_str(),
        listen = ?addresses.listen,
        admin_listen = ?addresses.admin_listen,
        "ready"
    );
}
