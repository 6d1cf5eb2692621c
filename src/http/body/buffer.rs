//! Where a whole body's data goes while it is read, and where the handler then gets it from.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;

use super::budget::Reservation;
use super::disk::{DiskBody, DiskBuffer};
use super::memory::MemoryBuffer;
use super::{Bodies, BodyError};

pub(super) enum Buffer {
    /// Up to `http.body_bytes_max`.
    Memory(MemoryBuffer),
    Disk(DiskBuffer),
    /// The handler does not want it.
    Discard,
}

/// A whole body.
pub(super) enum WholeBody {
    Memory(Bytes),
    Disk(DiskBody),
}

impl Buffer {
    /// For a body with this Content-Length, if it has one, of at most `bytes_max`.
    pub fn new(announced: Option<u64>, bytes_max: u64, bodies: &Bodies) -> Self {
        let length_max = announced.unwrap_or(bytes_max).min(bodies.memory_bytes_max);
        match announced {
            Some(length) if length > length_max => Self::Disk(disk_buffer(bodies)),
            _ => Self::Memory(MemoryBuffer::new(
                bodies.memory.clone(),
                usize::try_from(length_max).unwrap_or(usize::MAX),
            )),
        }
    }

    /// Adds data. A chunked body that no longer fits into memory goes to a file.
    pub fn add(&mut self, data: Bytes, bodies: &Bodies) -> Result<(), BodyError> {
        match self {
            Self::Memory(buffer) => {
                let length = buffer.len() as u64 + data.len() as u64;
                if length <= bodies.memory_bytes_max {
                    return buffer.add(&data);
                }
                let mut disk = disk_buffer(bodies);
                if let Self::Memory(buffer) = std::mem::replace(self, Self::Discard) {
                    disk.add(buffer.finish().0)?;
                }
                disk.add(data)?;
                *self = Self::Disk(disk);
                Ok(())
            }
            Self::Disk(buffer) => buffer.add(data),
            Self::Discard => Ok(()),
        }
    }

    /// Writes what was added. Call it before the next data.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self {
            Self::Disk(buffer) => buffer.poll_write(cx),
            Self::Memory(_) | Self::Discard => Poll::Ready(Ok(())),
        }
    }

    /// Ends the body, after its last data.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self {
            Self::Disk(buffer) => buffer.poll_finish(cx),
            Self::Memory(_) | Self::Discard => Poll::Ready(Ok(())),
        }
    }

    /// The body, after [`poll_finish`](Self::poll_finish), and the reservation of its memory.
    pub fn into_whole(self) -> Result<(Option<WholeBody>, Option<Arc<Reservation>>), BodyError> {
        Ok(match self {
            Self::Memory(buffer) => {
                let (bytes, reservation) = buffer.finish();
                (Some(WholeBody::Memory(bytes)), Some(reservation))
            }
            Self::Disk(buffer) => (Some(WholeBody::Disk(buffer.into_body()?)), None),
            Self::Discard => (None, None),
        })
    }
}

fn disk_buffer(bodies: &Bodies) -> DiskBuffer {
    DiskBuffer::create(bodies.directory.clone(), bodies.disk.clone())
}

impl WholeBody {
    /// The next part; `None` at the end.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Memory(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Disk(body) => body.poll_data(cx),
        }
    }
}
