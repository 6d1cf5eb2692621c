//! The database.

mod altered_files;
mod checkpoints;
mod commit_faults;
mod database_file;
mod failing_writes;
mod foreign_writers;
mod init;
mod lost_files;
mod replicas;
mod slow_commits;
mod syncs;
