//! The process around the server: its limits, scheduling and replica number, systemd, and its end.

pub mod drain;
pub mod exit;
pub mod file_descriptors;
pub mod replica_number;
pub mod scheduling;
pub mod systemd;
