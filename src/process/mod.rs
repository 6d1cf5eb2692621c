//! The process around the server: what the operating system and systemd give it, and how it ends.

pub mod drain;
pub mod exit;
pub mod file_descriptors;
pub mod replica_number;
pub mod scheduling;
pub mod systemd;
