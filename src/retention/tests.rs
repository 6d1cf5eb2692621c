//! The estimate of the table's size, and thirty days of a busy server in a small file system.

#[allow(dead_code)] // Other tests fill it.
#[path = "../../tests/common/disk.rs"]
mod disk;
mod simulation;
mod sizes;
