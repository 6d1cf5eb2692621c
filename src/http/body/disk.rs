//! A whole body in a temporary file, which has no name: the kernel frees it when the process ends, however that happens.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use bytes::{Buf, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeek, AsyncWrite};
use tokio::task::{JoinHandle, spawn_blocking};

use super::BodyError;
use super::budget::{Budget, Reservation};
use crate::telemetry::log_rate_limited;

/// The size of a read.
const READ_BYTES: usize = 64 * 1024;

/// A body that is being read from the client. tokio writes on its pool of blocking threads.
pub(super) struct DiskBuffer {
    file: FileState,
    unwritten: VecDeque<Bytes>,
    is_rewinding: bool,
    /// Equals the body's length so far.
    reservation: Reservation,
}

enum FileState {
    Creating(JoinHandle<io::Result<std::fs::File>>),
    Open(File),
}

impl DiskBuffer {
    /// A file in `directory`, counted against `budget`.
    pub fn create(directory: PathBuf, budget: Budget) -> Self {
        Self {
            file: FileState::Creating(spawn_blocking(move || tempfile::tempfile_in(directory))),
            unwritten: VecDeque::new(),
            is_rewinding: false,
            reservation: Reservation::new(budget),
        }
    }

    /// Adds data; call [`poll_write`](Self::poll_write) before the next one.
    pub fn add(&mut self, data: Bytes) -> Result<(), BodyError> {
        self.reservation
            .grow_to(self.reservation.bytes() + data.len() as u64)?;
        self.unwritten.push_back(data);
        Ok(())
    }

    /// Writes what was added.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        self.poll_write_unlogged(cx).map_err(storage_error)
    }

    /// Writes what was added, and goes back to the start of the file.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        self.poll_rewound(cx).map_err(storage_error)
    }

    /// The whole body, after [`poll_finish`](Self::poll_finish).
    pub fn into_body(self) -> Result<DiskBody, BodyError> {
        match self.file {
            FileState::Open(file) => Ok(DiskBody {
                file,
                chunk: BytesMut::new(),
                bytes_left: self.reservation.bytes(),
                _reservation: self.reservation,
            }),
            FileState::Creating(_) => Err(BodyError::Storage),
        }
    }

    fn poll_write_unlogged(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let FileState::Creating(creating) = &mut self.file {
            let file = ready!(Pin::new(creating).poll(cx)).map_err(io::Error::other)??;
            self.file = FileState::Open(File::from_std(file));
        }
        let FileState::Open(file) = &mut self.file else {
            return Poll::Ready(Ok(()));
        };
        while let Some(data) = self.unwritten.front_mut() {
            let count = ready!(Pin::new(&mut *file).poll_write(cx, data))?;
            data.advance(count);
            if data.is_empty() {
                self.unwritten.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_rewound(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_unlogged(cx))?;
        let FileState::Open(file) = &mut self.file else {
            return Poll::Ready(Ok(()));
        };
        if !self.is_rewinding {
            ready!(Pin::new(&mut *file).poll_flush(cx))?;
            Pin::new(&mut *file).start_seek(io::SeekFrom::Start(0))?;
            self.is_rewinding = true;
        }
        Pin::new(file).poll_complete(cx).map_ok(|_| ())
    }
}

/// A whole body in a temporary file.
pub(super) struct DiskBody {
    file: File,
    chunk: BytesMut,
    bytes_left: u64,
    _reservation: Reservation,
}

impl DiskBody {
    /// The next part of the body; `None` at its end.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.bytes_left == 0 {
            return Poll::Ready(None);
        }
        self.chunk.reserve(READ_BYTES);
        // The future holds no state, so dropping it while it is pending loses nothing.
        let read = pin!(self.file.read_buf(&mut self.chunk)).poll(cx);
        let count = match ready!(read) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        Poll::Ready(Some(count.map_err(storage_error).map(|count| {
            self.bytes_left = self.bytes_left.saturating_sub(count as u64);
            self.chunk.split().freeze()
        })))
    }
}

fn storage_error(error: io::Error) -> BodyError {
    log_rate_limited(
        "a request's body cannot be stored in a temporary file beside the database",
        &error,
    );
    BodyError::Storage
}
