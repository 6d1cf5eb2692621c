//! The public side.

mod bodies;
mod client_address;
mod conformance;
mod handlers;
mod head_memory;
mod limits;
mod listeners;
mod outcomes;
mod real_clients;
mod recording;
mod refusal_reasons;
mod shared_ports;
mod static_files;
mod streamed_bodies;
mod streams;
mod timeouts;
mod under_load;
mod unix_sockets;
mod unrecorded;
mod websockets;
