//! Bytes that were accepted and not yet written.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Chunks of this size and more are queued as they are; smaller ones are copied together, so that many small writes become one TLS record.
const COALESCE_BELOW: usize = 4096;

/// A queue of bytes. It holds no memory when it is empty.
///
/// Bytes only ever leave at the front, by [`advance`](OutBuf::advance); a push may move the front or make it longer, never shorter or other. That is what OpenSSL wants of a write that it has to be
/// offered again: the same bytes at least, anywhere (`SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER`).
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

    /// Lets `encode` write at the end; what it wrote is taken back when it fails. How many bytes came.
    pub(crate) fn push_with<E>(&mut self, encode: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<usize, E> {
        // A codec may look at what is in its buffer, so it is given what it knows: one that begins with its own frame.
        let mut frame =
            if self.tail.is_empty() { std::mem::take(&mut self.tail) } else { self.tail.split_off(self.tail.len()) };
        encode(&mut frame)?;
        let n = frame.len();
        // Where the frame was not moved by growing, this joins two halves of one allocation and copies nothing.
        self.tail.unsplit(frame);
        self.len += n;
        Ok(n)
    }

    /// The bytes to write next: empty only when all are written.
    pub(crate) fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&self.tail, |chunk| chunk)
    }

    pub(crate) fn advance(&mut self, n: usize) {
        self.len -= n;
        if self.len == 0 {
            // An idle connection holds no buffer (law 8).
            *self = OutBuf::default();
            return;
        }
        match self.chunks.front_mut() {
            Some(chunk) => {
                chunk.advance(n);
                if chunk.is_empty() {
                    self.chunks.pop_front();
                }
            }
            None => self.tail.advance(n),
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
    fn an_encoder_that_fails_leaves_nothing() {
        let mut out = OutBuf::default();
        out.push_slice(b"before ");
        let failed = out.push_with(|buffer| {
            buffer.extend_from_slice(b"half a frame");
            Err(())
        });
        assert_eq!(failed, Err(()));
        assert_eq!(
            out.push_with(|buffer| {
                assert!(buffer.is_empty());
                buffer.extend_from_slice(b"after");
                Ok::<_, ()>(())
            }),
            Ok(5)
        );
        assert_eq!((out.front(), out.len()), (&b"before after"[..], 12));
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
