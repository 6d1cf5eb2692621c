//! The same service on PostgreSQL: each request is a committed row before its response. Only for the benchmark.
//!
//! bench-postgres insert|group ADDRESS:PORT SOCKET_DIRECTORY
//!
//! `insert`: one transaction per request, over a connection pool. `group`: group commit.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, Method, Uri};
use deadpool_postgres::{Manager, Pool};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, Config, NoTls};

const POOL_CONNECTIONS: usize = 20;
const BATCH_RECORDS_MAX: usize = 1024;
const TABLE: &str = "create table if not exists requests (
    id bigint generated always as identity primary key, timestamp double precision not null, method text not null,
    path text not null, content_length bigint not null, remote_addr text)";
const INSERT_ONE: &str =
    "insert into requests (timestamp, method, path, content_length, remote_addr)
    values ($1, $2, $3, $4, $5) returning id";
const INSERT_MANY: &str = "insert into requests (timestamp, method, path, content_length, remote_addr)
    select * from unnest($1::double precision[], $2::text[], $3::text[], $4::bigint[], $5::text[]) returning id";

struct Record {
    timestamp: f64,
    method: String,
    path: String,
    content_length: i64,
    remote_addr: String,
}

type Waiting = (Record, oneshot::Sender<i64>);

#[derive(Clone)]
enum Recorder {
    Insert(Pool),
    Group(mpsc::Sender<Waiting>),
}

impl Recorder {
    async fn write(&self, record: Record) -> i64 {
        match self {
            Self::Insert(pool) => {
                let client = pool.get().await.expect("a connection");
                let insert = client
                    .prepare_cached(INSERT_ONE)
                    .await
                    .expect("a statement");
                let Record {
                    timestamp,
                    method,
                    path,
                    content_length,
                    remote_addr,
                } = record;
                let row = client
                    .query_one(
                        &insert,
                        &[&timestamp, &method, &path, &content_length, &remote_addr],
                    )
                    .await
                    .expect("an insert");
                row.get(0)
            }
            Self::Group(queue) => {
                let (reply, id) = oneshot::channel();
                queue.send((record, reply)).await.expect("the writer");
                id.await.expect("an id")
            }
        }
    }
}

async fn write_groups(client: Client, mut queue: mpsc::Receiver<Waiting>) {
    let insert = client.prepare(INSERT_MANY).await.expect("a statement");
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH_RECORDS_MAX).await > 0 {
        let (records, replies): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let timestamps: Vec<_> = records.iter().map(|record| record.timestamp).collect();
        let methods: Vec<_> = records.iter().map(|record| &record.method).collect();
        let paths: Vec<_> = records.iter().map(|record| &record.path).collect();
        let lengths: Vec<_> = records.iter().map(|record| record.content_length).collect();
        let addresses: Vec<_> = records.iter().map(|record| &record.remote_addr).collect();
        let rows = client
            .query(
                &insert,
                &[&timestamps, &methods, &paths, &lengths, &addresses],
            )
            .await
            .expect("an insert");
        for (row, reply) in rows.iter().zip(replies) {
            // Fails if the client is gone.
            let _ = reply.send(row.get(0));
        }
    }
}

async fn respond(
    State(recorder): State<Recorder>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> ([(HeaderName, String); 1], Bytes) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    let record = Record {
        timestamp: now.as_secs_f64(),
        method: method.to_string(),
        path: uri.path().to_owned(),
        content_length: body.len() as i64,
        remote_addr: "127.0.0.1".to_owned(),
    };
    let id = recorder.write(record).await;
    (
        [(HeaderName::from_static("record-id"), id.to_string())],
        body,
    )
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, mode, address, directory] = &arguments[..] else {
        panic!("usage: bench-postgres insert|group ADDRESS:PORT SOCKET_DIRECTORY");
    };
    let mut config = Config::new();
    config
        .host_path(directory)
        .user("postgres")
        .dbname("postgres");
    let (client, connection) = config.connect(NoTls).await.expect("PostgreSQL");
    tokio::spawn(connection);
    client.batch_execute(TABLE).await.expect("a table");
    let recorder = if mode == "insert" {
        let manager = Manager::new(config, NoTls);
        let pool = Pool::builder(manager).max_size(POOL_CONNECTIONS).build();
        Recorder::Insert(pool.expect("a pool"))
    } else {
        let (sender, queue) = mpsc::channel(8192);
        tokio::spawn(write_groups(client, queue));
        Recorder::Group(sender)
    };
    let app = Router::new().fallback(respond).with_state(recorder);
    let listener = TcpListener::bind(address).await.expect("the address");
    axum::serve(listener, app).await.expect("serving");
}
