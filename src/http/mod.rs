//! The public side: from a socket to a recorded response.
//!
//! A connection goes through [`listen`] → [`accept`] → [`connection`], which runs hyper on a [`guard`]ed socket. A request
//! on it goes through [`recorder`] → [`layers`] → the handler. The response goes back through the recorder, which waits for
//! the commit.

pub mod accept;
pub mod body;
pub mod client_address;
pub mod connection;
pub mod guard;
pub mod layers;
pub mod listen;
pub mod recorder;
mod request_log;
pub mod request_store;
pub mod responses;
pub mod streaming_body;
mod timer;
pub mod unrecorded;
pub mod upgraded;
