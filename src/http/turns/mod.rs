//! How a client that somebody else speaks HTTP by is told of a drain: by what its peer could have said.
//!
//! A pool does not tell its connector which of its connections are idle, and a drain has to know: an idle one is to go at once, a busy one when it is done.
//!
//! HTTP/2 has a word for it. GOAWAY is slipped in between two frames of the peer's: nothing more is asked on the connection, and what was asked is answered.
//!
//! HTTP/1.1 has none but the end of the stream, which on a busy connection would cut the answer off. So the bytes are looked at as they pass, for where messages end and for nothing else. What is not
//! understood is never idle: it costs the drain its time, and no request its answer.

mod http1;
#[cfg(test)]
mod tests;

use tokio::io::ReadBuf;

use http1::Http1;

/// The state of one connection.
#[derive(Debug)]
pub(super) enum Turns {
    Http1(Http1),
    Http2(Http2),
}

impl Turns {
    pub(super) fn new(http2: bool) -> Self {
        if http2 { Turns::Http2(Http2::default()) } else { Turns::Http1(Http1::Idle) }
    }

    /// Tells the reader of the drain, if it can be told now: into `buf`, or, where that stays as it is, by the end of the stream.
    pub(super) fn say_farewell(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        match self {
            Turns::Http1(state) => matches!(state, Http1::Idle),
            Turns::Http2(state) if state.go_away.is_empty() || !state.is_between_frames() => false,
            Turns::Http2(state) => {
                let n = buf.remaining().min(state.go_away.len());
                buf.put_slice(&state.go_away[..n]);
                state.go_away = &state.go_away[n..];
                true
            }
        }
    }

    /// It is HTTP that is spoken, as far as can be told.
    pub(super) fn are_known(&self) -> bool {
        !matches!(self, Turns::Http1(Http1::Lost))
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) {
        if let Turns::Http1(state) = self {
            state.sent(bytes);
        }
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        match self {
            Turns::Http1(state) => state.received(bytes),
            Turns::Http2(state) => state.received(bytes),
        }
    }
}

/// HTTP/2, of which only frames are looked at (RFC 9113, section 4.1), and only at what is received: for where one ends.
#[derive(Debug)]
pub(super) struct Http2 {
    /// A frame's head as far as it has come.
    head: Vec<u8>,
    /// How much of a frame's payload is to come.
    payload: usize,
    /// The peer's first frame has come, which must be its settings.
    begun: bool,
    /// What is left to be said.
    go_away: &'static [u8],
}

/// GOAWAY without an error, and with the highest stream there can be: nothing that was asked for is given up (RFC 9113, section 6.8).
const GO_AWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];

impl Default for Http2 {
    fn default() -> Self {
        Http2 { head: Vec::new(), payload: 0, begun: false, go_away: GO_AWAY }
    }
}

impl Http2 {
    fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let taken = (9 - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let &[a, b, c, _, _, _, _, _, _] = self.head.as_slice() {
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                self.head.clear();
                self.begun = true;
            }
        }
    }

    fn is_between_frames(&self) -> bool {
        self.begun && self.payload == 0 && self.head.is_empty()
    }
}
