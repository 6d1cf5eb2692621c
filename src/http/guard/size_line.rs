//! The chunk size lines for hyper, rewritten without extensions and leading zeros.

/// Two CRLF and the hex digits of a u64.
const BYTES_MAX: usize = 20;

/// A chunk's size line. After another chunk it begins with the CRLF that ends that chunk's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SizeLine {
    bytes: [u8; BYTES_MAX],
    start: usize,
}

impl SizeLine {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; BYTES_MAX],
        start: BYTES_MAX,
    };

    pub(super) fn new(follows_chunk: bool, size: u64) -> Self {
        let mut line = Self::EMPTY;
        line.prepend(b"\r\n");
        let mut rest = size;
        while rest > 0 {
            line.prepend(&[b"0123456789abcdef"[(rest & 15) as usize]]);
            rest >>= 4;
        }
        line.after_chunk(follows_chunk)
    }

    /// The last size line, with the empty line that ends the body.
    pub(super) fn last(follows_chunk: bool) -> Self {
        let mut line = Self::EMPTY;
        line.prepend(b"0\r\n\r\n");
        line.after_chunk(follows_chunk)
    }

    fn after_chunk(mut self, follows_chunk: bool) -> Self {
        if follows_chunk {
            self.prepend(b"\r\n");
        }
        self
    }

    fn prepend(&mut self, bytes: &[u8]) {
        let end = self.start;
        self.start -= bytes.len();
        self.bytes[self.start..end].copy_from_slice(bytes);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Drops bytes from the front.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.start += bytes;
    }
}
