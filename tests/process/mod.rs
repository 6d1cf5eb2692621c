//! The process: start, file descriptors, systemd, shutdown.

mod drain;
mod file_descriptors;
mod replica_numbers;
mod signals;
mod startup;
mod stop_in_time;
mod supervised;

use crate::common::client::Client;
use crate::common::server::Server;
use crate::common::{TIMEOUT, eventually};

fn start_with(drain_delay: &str, grace: &str) -> Server {
    Server::with(|c| {
        c.text("shutdown.drain_delay", drain_delay)
            .text("shutdown.grace", grace)
            .text("commit.deadline", "30s");
    })
}

fn wait_until_unready(server: &Server) {
    eventually("it is unready", TIMEOUT, || {
        server.get_admin("/readyz").status == 503
    });
}

/// A POST whose head the server has read, and of whose body only a part is sent.
fn send_half_a_request(server: &Server) -> Client {
    let mut client = Client::connect(server.addr());
    client.send(
        "POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.response().status, 100);
    client.send("half");
    client
}
