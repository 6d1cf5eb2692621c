//! The process: start, file descriptors, systemd, shutdown.

mod file_descriptors;
mod lifecycle;
mod replica_numbers;
mod startup;
mod stop_in_time;
mod supervised;
