//! Bytes that were accepted and not yet written.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Chunks of this size and more are queued as they are; smaller ones are copied together, so that many small writes become one TLS record.
const COALESCE_BELOW: usize = 4096;

/// A queue of bytes. It holds no memory when it is empty.
///
/// Bytes only ever leave at the front, by [`advance`](OutBuf::advance), and what is at the front is not changed by a push: so a write that OpenSSL has to be offered again
/// begins with the same bytes, as `SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER` wants.
#[derive(Debug, Default)]
pub(crate) struct OutBuf {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl OutBuf {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push_slice(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COALESCE_BELOW {
            return self.push_slice(&bytes);
        }
        self.seal_tail();
        self.len += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// The bytes to write next: empty only when all are written.
    ///
    /// The tail is sealed once it is at the front, because a later push could move it while OpenSSL holds a half-written record of it, and could make
    /// the retry longer, but never shorter: both are allowed. It is sealed all the same to keep one way of advancing.
    pub(crate) fn front(&mut self) -> &[u8] {
        if self.chunks.is_empty() {
            self.seal_tail();
        }
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    pub(crate) fn advance(&mut self, n: usize) {
        self.len -= n;
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.advance(n);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        if self.len == 0 {
            // An idle connection holds no buffer (law 8).
            *self = OutBuf::default();
        }
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(out: &mut OutBuf, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !out.is_empty() {
            let n = out.front().len().min(step);
            all.extend_from_slice(&out.front()[..n]);
            out.advance(n);
        }
        all
    }

    /// Law 4: what goes in comes out, in order, whatever the sizes.
    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        for step in [1, 7, 4096, usize::MAX] {
            let mut out = OutBuf::default();
            let mut expected = Vec::new();
            for (n, size) in [0, 1, 5, 4096, 3, 10_000, 4095, 2].into_iter().enumerate() {
                let bytes = vec![n as u8; size];
                expected.extend_from_slice(&bytes);
                if n % 2 == 0 { out.push(bytes.into()) } else { out.push_slice(&bytes) }
            }
            assert_eq!(out.len(), expected.len());
            assert_eq!(drain(&mut out, step), expected);
        }
    }

    #[test]
    fn small_writes_leave_as_one() {
        let mut out = OutBuf::default();
        out.push_slice(b"head ");
        out.push(Bytes::from_static(b"and body"));
        assert_eq!(out.front(), b"head and body");
    }

    /// OpenSSL may have to be offered the front again: a push must not change it.
    #[test]
    fn a_push_does_not_change_the_front() {
        let mut out = OutBuf::default();
        out.push_slice(b"first");
        assert_eq!(out.front(), b"first");
        out.push_slice(b"second");
        assert!(out.front().starts_with(b"first"));
    }
}
