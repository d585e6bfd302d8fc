//! A stream that gives the frame library no byte of a frame that has not begun, so that between two frames it has nothing to lose: see [`Frames`](super::frames::Frames).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

/// The longest header: two bytes, eight of length, four of the mask (RFC 6455, section 5.2).
const LONGEST: usize = 14;

/// Where in the frames that it gives the reader is. Only lengths are looked at: what is wrong with a frame is the library's to say.
#[derive(Debug, Default)]
pub(super) struct Metered {
    /// The header that is being read, and how much of it has come and was given.
    header: [u8; LONGEST],
    come: usize,
    given: usize,
    /// Bytes of the payload that are still to come.
    rest: u64,
    /// Frames of this message are still to come.
    in_message: bool,
    /// The longest payload so far.
    longest: u64,
}

impl Metered {
    /// Whether nothing of a next frame, and of a message whose frames are not all there, was given.
    pub(super) fn is_between_messages(&self) -> bool {
        self.given == 0 && self.come == 0 && self.rest == 0 && !self.in_message
    }

    /// The longest payload so far, in bytes.
    pub(super) fn longest(&self) -> u64 {
        self.longest
    }

    /// Reads into `bytes`, which is not empty. 0: the end.
    pub(super) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.rest > 0 {
            let most = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
            let n = ready!(fill(stream, cx, &mut bytes[..most]))?;
            self.rest -= n as u64;
            return Poll::Ready(Ok(n));
        }
        while self.come < self.header_length() {
            let length = self.header_length();
            match ready!(fill(stream, cx, &mut self.header[self.come..length]))? {
                // What has come of it is given, and then the end is seen again.
                0 => break,
                n => self.come += n,
            }
        }
        let whole = self.come == self.header_length();
        let n = bytes.len().min(self.come - self.given);
        bytes[..n].copy_from_slice(&self.header[self.given..self.given + n]);
        self.given += n;
        if whole && self.given == self.come {
            self.begin_payload();
        }
        Poll::Ready(Ok(n))
    }

    /// As far as what has come says it.
    fn header_length(&self) -> usize {
        if self.come < 2 {
            return 2;
        }
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if self.header[1] & 0x80 == 0 { 0 } else { 4 }
    }

    fn begin_payload(&mut self) {
        let length = |bytes: &[u8]| bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        self.rest = match self.header[1] & 0x7f {
            126 => length(&self.header[2..4]),
            127 => length(&self.header[2..10]),
            short => u64::from(short),
        };
        self.longest = self.longest.max(self.rest);
        // Control frames may come between the frames of a message.
        if self.header[0] & 0x08 == 0 {
            self.in_message = self.header[0] & 0x80 == 0;
        }
        (self.come, self.given) = (0, 0);
    }
}

fn fill<S: AsyncRead + Unpin>(stream: &mut S, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buf = ReadBuf::new(bytes);
    ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
    Poll::Ready(Ok(buf.filled().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever pieces are asked for, the bytes are the same, and between messages is where it says.
    #[test]
    fn bytes_are_passed_on_and_borders_are_known() {
        let frames: [&[u8]; 5] = [
            &[0x81, 0x02, b'h', b'i'],
            &[0x01, 0x81, 1, 2, 3, 4, b'x'],
            &[0x89, 0x00],
            &[0x80, 0x7e, 0x00, 0x03, b'a', b'b', b'c'],
            &[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, b'z'],
        ];
        let all = frames.concat();
        for piece in 1..all.len() {
            let (mut metered, mut stream, mut given) = (Metered::default(), &all[..], Vec::new());
            let mut borders = Vec::new();
            while given.len() < all.len() {
                let mut bytes = vec![0; piece];
                let n = read(&mut metered, &mut stream, &mut bytes);
                assert_ne!(n, 0);
                given.extend_from_slice(&bytes[..n]);
                if metered.is_between_messages() {
                    borders.push(given.len());
                }
            }
            assert_eq!(given, all);
            assert_eq!(borders, [4, 20, 31], "in pieces of {piece}");
            assert_eq!(metered.longest(), 3);
        }
    }

    #[test]
    fn an_end_in_a_header_is_seen() {
        let mut stream: &[u8] = &[0x81, 0x7e, 0x00];
        let (mut metered, mut bytes) = (Metered::default(), [0; 100]);
        assert_eq!(read(&mut metered, &mut stream, &mut bytes), 3);
        assert_eq!(read(&mut metered, &mut stream, &mut bytes), 0);
        assert!(!metered.is_between_messages());
    }

    fn read(metered: &mut Metered, stream: &mut &[u8], bytes: &mut [u8]) -> usize {
        match metered.poll_read(stream, &mut Context::from_waker(std::task::Waker::noop()), bytes) {
            Poll::Ready(n) => n.unwrap(),
            Poll::Pending => panic!("a slice does not wait"),
        }
    }
}
