//! [`Context`]: what an application's routes, handlers and jobs may use.

mod changed;
mod store;

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use prometheus::Registry;
use tokio::sync::watch;

use crate::config::AppConfig;
use crate::shutdown::{Phase, reached};
use crate::store::Store;
use changed::Changed;
pub use store::AppStore;

/// An application's own error, of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Routes, handlers and jobs of an application use it. It is cheap to clone, and an axum extractor.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    store: AppStore,
    changed: Changed,
    config: AppConfig,
    metrics: Registry,
    phase: watch::Receiver<Phase>,
}

impl Context {
    pub(crate) fn new(config: AppConfig, metrics: Registry, phase: watch::Receiver<Phase>) -> Self {
        Self(Arc::new(Inner {
            store: AppStore::default(),
            changed: Changed::new(),
            config,
            metrics,
            phase,
        }))
    }

    /// The database outside of a request. It opens after the routes are made.
    pub fn store(&self) -> &AppStore {
        &self.0.store
    }

    /// The id of the newest committed record of all replicas, for streams: wait for
    /// [`changed`](watch::Receiver::changed), then read what is new.
    ///
    /// While anybody listens, the process looks every 100 ms. So an id may be shown that late, several new ids may be shown
    /// as one change, and the value may be older still when the first listener subscribes. At
    /// `database.synchronous = "full"` an id is shown once it survives a power failure. The receiver never ends: see
    /// [`Context::stopping`].
    ///
    /// ```
    /// # use daybook::Context;
    /// /// Responds as soon as there is a record.
    /// async fn first(context: Context) -> String {
    ///     let mut changed = context.changed();
    ///     let newest = changed.wait_for(|id| *id > 0).await.expect("the context has the sender");
    ///     format!("record {}\n", *newest)
    /// }
    /// # let routes = daybook::axum::Router::new().route("/first", daybook::axum::routing::get(first));
    /// # let server = daybook::testing::Server::start(daybook::App::new("first", |_| Ok(routes)));
    /// # server.get("/nowhere");
    /// # assert_eq!(server.get("/first").text(), "record 1\n");
    /// ```
    pub fn changed(&self) -> watch::Receiver<i64> {
        self.0.changed.subscribe()
    }

    /// Called once, when the database is open.
    pub(crate) fn open(&self, store: &Store) {
        self.0.store.open(store.clone());
        let (context, store) = (self.clone(), store.clone());
        tokio::spawn(async move { context.0.changed.poll(store).await });
    }

    /// The application's own configuration, of the type that [`App::config`](crate::App::config) declares.
    ///
    /// # Panics
    /// If `T` is another type.
    #[track_caller]
    pub fn config<T: 'static>(&self) -> &T {
        self.0.config.get()
    }

    /// The registry of the application's own metrics. Each name gets the prefix `app_`, and each metric the label
    /// `replica`. `GET /metrics` of the admin listener prints them beside daybook's.
    pub fn metrics(&self) -> &Registry {
        &self.0.metrics
    }

    /// Resolves when the replica begins to stop: end streams, and begin no long work.
    ///
    /// A stream of server-sent events that ends itself can say good-bye. One that does not is cut when the replica stops
    /// accepting.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use daybook::Context;
    /// use daybook::axum::response::sse::{Event, Sse};
    /// use futures_util::stream::{self, Stream, StreamExt};
    ///
    /// async fn news(context: Context) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    ///     let event = |text: &str| Ok(Event::default().data(text));
    ///     let news = stream::iter([event("hello")]).chain(stream::pending());
    ///     let last = stream::iter([event("the server restarts")]);
    ///     Sse::new(news.take_until(context.stopping()).chain(last))
    /// }
    /// # use std::io::{Read, Write};
    /// # use daybook::axum::{Router, routing::get};
    /// # let app = daybook::App::new("news", |_| Ok(Router::new().route("/", get(news))));
    /// # let server = daybook::testing::Server::start(app);
    /// # let mut client = std::net::TcpStream::connect(server.addr()).unwrap();
    /// # client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    /// # let mut head = [0; 17];
    /// # client.read_exact(&mut head).unwrap();
    /// # assert_eq!(&head, b"HTTP/1.1 200 OK\r\n");
    /// # server.stop();
    /// # let mut rest = String::new();
    /// # client.read_to_string(&mut rest).unwrap();
    /// # assert!(rest.contains("data: hello\n\n") && rest.contains("data: the server restarts\n\n"), "{rest}");
    /// ```
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut phase = self.0.phase.clone();
        async move { reached(&mut phase, Phase::Draining).await }
    }
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .expect("the recorder gives every request the context"))
    }
}
