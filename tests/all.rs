//! All black-box tests in one binary, for `make mutants`: a mutant is compiled and linked once, and not thirty times.
//!
//! Left out: `panic_log`, which must be alone in its binary. Each test runs in a process of its own there (nextest).

#[path = "admin.rs"]
mod admin;
#[path = "admin_hosts.rs"]
mod admin_hosts;
#[path = "altered_files.rs"]
mod altered_files;
#[path = "broken_output.rs"]
mod broken_output;
#[path = "checkpoints.rs"]
mod checkpoints;
#[path = "client_address.rs"]
mod client_address;
#[path = "command_line.rs"]
mod command_line;
#[path = "commit_faults.rs"]
mod commit_faults;
#[path = "database_file.rs"]
mod database_file;
#[path = "descriptors.rs"]
mod descriptors;
#[path = "documentation.rs"]
mod documentation;
#[path = "failing_writes.rs"]
mod failing_writes;
#[path = "foreign_writers.rs"]
mod foreign_writers;
#[path = "handlers.rs"]
mod handlers;
#[path = "head_memory.rs"]
mod head_memory;
#[path = "healthcheck.rs"]
mod healthcheck;
#[path = "http_by_the_book.rs"]
mod http_by_the_book;
#[path = "init.rs"]
mod init;
#[path = "lifecycle.rs"]
mod lifecycle;
#[path = "limits.rs"]
mod limits;
#[path = "listeners.rs"]
mod listeners;
#[path = "logs.rs"]
mod logs;
#[path = "lost_files.rs"]
mod lost_files;
#[path = "read_api.rs"]
mod read_api;
#[path = "real_clients.rs"]
mod real_clients;
#[path = "recording.rs"]
mod recording;
#[path = "replica_numbers.rs"]
mod replica_numbers;
#[path = "replicas.rs"]
mod replicas;
#[path = "shared_ports.rs"]
mod shared_ports;
#[path = "slow_commits.rs"]
mod slow_commits;
#[path = "startup.rs"]
mod startup;
#[path = "stop_in_time.rs"]
mod stop_in_time;
#[path = "streams.rs"]
mod streams;
#[path = "supervised.rs"]
mod supervised;
#[path = "syncs.rs"]
mod syncs;
#[path = "timeouts.rs"]
mod timeouts;
#[path = "under_load.rs"]
mod under_load;
#[path = "unix_sockets.rs"]
mod unix_sockets;
#[path = "websockets.rs"]
mod websockets;
