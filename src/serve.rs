//! `daybook serve`: prepare the process, open the database, listen, serve, drain.

use std::panic::resume_unwind;
use std::sync::Arc;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

use crate::admin::stream::Streams;
use crate::admin::{self, AdminState};
use crate::app::{App, routes};
use crate::config::{Config, Listen};
use crate::context::Context;
use crate::http::accept::Acceptor;
use crate::http::client_address::Peer;
use crate::http::guard::{ConnectionState, HeadBudget, Limits};
use crate::http::layers::add_layers;
use crate::http::listen::{Inherited, ListenError, Listener, Sharing, bind};
use crate::http::recorder::Recorder;
use crate::jobs::{self, Job, Jobs, JobsEnvironment};
use crate::metrics::Metrics;
use crate::minutes;
use crate::process::drain::{Drain, PublicSide};
use crate::process::exit::writer_error;
pub use crate::process::exit::{ServeError, StopOutcome};
use crate::process::{file_descriptors, scheduling, systemd};
use crate::readiness::Readiness;
use crate::retention;
use crate::shutdown::{Shutdown, StopSignal};
use crate::store::{AppSchema, OpenError, Opened, Store};
use crate::telemetry;

/// The addresses in use, in the form of the configuration.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The public listeners.
    pub listen: Vec<String>,
    /// The admin listeners.
    pub admin_listen: Vec<String>,
}

/// Serves `app` until `stops` yields a signal, then drains. Calls `on_ready` once requests get responses.
///
/// A blocking thread may still read, or open the database, when this returns: end the runtime with
/// `shutdown_background`, which does not wait for it.
///
/// # Errors
/// [`ServeError`], which knows whether a restart could help.
pub async fn serve(
    mut config: Config,
    app: App,
    mut inherited: Inherited,
    mut stops: mpsc::Receiver<StopSignal>,
    on_ready: impl FnOnce(Addresses),
) -> Result<StopOutcome, ServeError> {
    let schema = app.schema()?;
    let mut jobs = jobs::check(&app.jobs)?;
    prepare_process(&mut config)?;
    let config = Arc::new(config);
    let metrics = Arc::new(Metrics::new(&config.replica)?);
    let shutdown = Shutdown::new();
    let context = Context::new(config.app.clone(), metrics.app().clone(), shutdown.watch());
    let routes = routes::build(app.routes, &context, config.health_path.as_deref())?;

    // Opening can wait long for another process. Signals must work meanwhile: process 1 of a container has no default
    // handlers.
    let opened = tokio::select! {
        opened = open_database(config.clone(), schema, metrics.clone()) => opened?,
        Some(stop) = stops.recv() => {
            tracing::info!(signal = stop.name(), "stopping before the database is open");
            return Ok(StopOutcome::NotStarted);
        }
    };
    let Opened {
        store,
        mut writer_ended,
    } = opened;
    context.open(&store);

    // Only now: a server that cannot record must not listen.
    let sharing = Sharing::Replicas(store.path());
    let public_listeners = bind_all("listen", &config.listen, sharing, &mut inherited)?;
    let admin_listeners = bind_all(
        "admin.listen",
        &config.admin.listen,
        Sharing::Exclusive,
        &mut inherited,
    )?;
    let addresses = Addresses {
        listen: public_listeners.iter().map(Listener::to_string).collect(),
        admin_listen: admin_listeners.iter().map(Listener::to_string).collect(),
    };

    let server = Server {
        readiness: Readiness::new(
            store.clone(),
            shutdown.watch(),
            config.commit.deadline.get(),
        ),
        heads: HeadBudget::new(config.http.heads_bytes_in_flight_max.get()),
        config,
        metrics,
        store,
        shutdown,
    };
    jobs.extend(server.own_jobs());
    let mut jobs =
        Jobs::start(jobs, server.jobs_environment(&context)).map_err(ServeError::JobsThread)?;
    let mut public = server.accept_public(routes, context.clone(), public_listeners);
    // The admin listeners stay open during a drain, so that it can be watched.
    let (mut admin_loops, _admin_shutdown) = server.accept_admin(context, admin_listeners);
    tokio::spawn(systemd::feed_watchdog(server.store.clone()));
    tokio::spawn(telemetry::summarise_repeated());
    server.announce(&addresses);
    on_ready(addresses);

    let stop = tokio::select! {
        result = &mut writer_ended => return Err(writer_error(result)),
        // An accept loop fails only by a panic.
        Some(Err(error)) = public.accept_loops.join_next() => return Err(ServeError::ListenerGone(error)),
        Some(Err(error)) = admin_loops.join_next() => return Err(ServeError::ListenerGone(error)),
        stop = stops.recv() => stop,
    };
    tracing::info!(signal = stop.map(StopSignal::name), "stopping");
    systemd::notify_stopping();
    let drain = Drain {
        config: &server.config,
        shutdown: &server.shutdown,
        public: &mut public,
        store: &server.store,
        jobs: &mut jobs,
        writer_ended: &mut writer_ended,
    };
    let outcome = tokio::select! {
        outcome = drain.run() => outcome,
        Some(stop) = stops.recv() => Ok(StopOutcome::Forced(stop)),
    };
    // Within the runtime, which the pool needs to close its connections: the application may keep its context for longer.
    server.store.close_readers();
    outcome
}

/// Sets what the process's later threads inherit, and fits `http.connections_max` to the limit of open files.
fn prepare_process(config: &mut Config) -> Result<(), ServeError> {
    if let Err(error) = scheduling::set_batch_policy() {
        tracing::warn!(%error, "SCHED_BATCH cannot be set: under full load fewer requests will share a commit");
    }
    let connections_max = file_descriptors::connections_max(
        config,
        admin::CONNECTIONS_MAX,
        file_descriptors::raise_limit(),
    )?;
    config.http.connections_max = config.http.connections_max.at_most(connections_max);
    Ok(())
}

async fn open_database(
    config: Arc<Config>,
    schema: AppSchema,
    metrics: Arc<Metrics>,
) -> Result<Opened, OpenError> {
    spawn_blocking(move || Store::open(&config.database, &config.commit, &schema, &metrics))
        .await
        .unwrap_or_else(|error| resume_unwind(error.into_panic()))
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

/// A running server, without its listeners.
struct Server {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    store: Store,
    readiness: Readiness,
    shutdown: Shutdown,
    /// Memory for the heads of public requests.
    heads: HeadBudget,
}

impl Server {
    fn accept_public(
        &self,
        routes: Router,
        context: Context,
        listeners: Vec<Listener>,
    ) -> PublicSide {
        let recorder = Arc::new(Recorder::new(
            self.config.clone(),
            add_layers(routes, context),
            self.store.clone(),
            self.metrics.clone(),
            self.readiness.clone(),
            self.shutdown.watch(),
        ));
        let connections = Arc::new(Semaphore::new(self.config.http.connections_max.get()));
        let acceptor = Acceptor {
            limits: Limits::new(&self.config.http, self.config.shutdown.grace.get()),
            heads: self.heads.clone(),
            phase: self.shutdown.watch(),
            connections: connections.clone(),
            reserved: None,
            metrics: Some(self.metrics.clone()),
            respond: move |peer: Peer,
                           connection: Arc<ConnectionState>,
                           request: Request<Incoming>| {
                let recorder = recorder.clone();
                async move { recorder.respond(peer, &connection, request).await }
            },
        };
        PublicSide {
            accept_loops: listeners
                .into_iter()
                .map(|listener| acceptor.clone().run(listener))
                .collect(),
            connections,
        }
    }

    /// daybook's own jobs, which run beside the application's.
    fn own_jobs(&self) -> Vec<Job> {
        let retention = retention::job(&self.config.retention, &self.store, &self.metrics);
        retention
            .into_iter()
            .chain([minutes::job(&self.store)])
            .collect()
    }

    fn jobs_environment<'a>(&'a self, context: &'a Context) -> JobsEnvironment<'a> {
        JobsEnvironment {
            replica: &self.config.replica,
            context,
            store: &self.store,
            metrics: &self.metrics,
            phase: self.shutdown.watch(),
        }
    }

    /// The accept loops run until the returned [`Shutdown`] is dropped.
    fn accept_admin(&self, context: Context, listeners: Vec<Listener>) -> (JoinSet<()>, Shutdown) {
        let config = &self.config;
        let router = admin::router(Arc::new(AdminState {
            store: self.store.clone(),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
            heads: self.heads.clone(),
            streams: Streams::start(self.store.clone(), context, config.admin.streams_max.get()),
            phase: self.shutdown.watch(),
            config: self.config.clone(),
        }));
        let permits = |count| Arc::new(Semaphore::new(count));
        let hosts: Arc<[String]> = config.admin.hosts.as_slice().into();
        let shutdown = Shutdown::new();
        let acceptor = Acceptor {
            limits: Limits::new(&config.http, config.shutdown.grace.get()),
            // Its own budget, which public clients cannot use up.
            heads: HeadBudget::new(config.http.heads_bytes_in_flight_max.get()),
            phase: shutdown.watch(),
            connections: permits(admin::CONNECTIONS_MAX - admin::HEALTH_CONNECTIONS),
            reserved: Some(permits(admin::HEALTH_CONNECTIONS)),
            metrics: None,
            respond: move |peer: Peer,
                           connection: Arc<ConnectionState>,
                           request: Request<Incoming>| {
                admin::respond(router.clone(), hosts.clone(), peer, connection, request)
            },
        };
        let accept_loops = listeners
            .into_iter()
            .map(|listener| acceptor.clone().run(listener))
            .collect();
        (accept_loops, shutdown)
    }

    /// Reports that the server is ready: in a metric, in the log and to systemd.
    fn announce(&self, addresses: &Addresses) {
        let Self { config, store, .. } = self;
        self.metrics.recording.set(config.record.into());
        if !config.record {
            tracing::warn!("record = false: requests are NOT recorded");
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            sqlite = rusqlite::version(),
            database = %store.path().display(),
            database_bytes = store.sizes().database_bytes,
            synchronous = config.database.synchronous.as_str(),
            listen = ?addresses.listen,
            admin_listen = ?addresses.admin_listen,
            "ready"
        );
        systemd::notify_ready();
    }
}
