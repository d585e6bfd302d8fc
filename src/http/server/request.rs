//! The body of a request, as the handler gets it.

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::desk::{Desk, Turn};
#[cfg(feature = "http2")]
use crate::http::incoming::of_stream;
use crate::http::{
    BodyError,
    incoming::{Fate, words},
};

/// The body of a request, as it comes: a handler that reads it slowly slows the peer.
///
/// The first read answers an `Expect: 100-continue`, unless a response has begun. It ends only where HTTP says that it ends, at its length or at its last chunk; anything less is [`BodyError::Truncated`], also when the peer has closed the connection as it should.
/// Dropped before its end, it costs the connection: what the peer still sends is not read to get at its next request. On HTTP/2 it costs its own stream alone, and a client that resets that is [`BodyError::Reset`].
pub struct RequestBody {
    incoming: Incoming,
    received: u64,
    expected: Option<u64>,
    fate: Fate,
    turn: Option<Turn>,
    /// It comes on a stream of HTTP/2.
    #[cfg(feature = "http2")]
    streamed: bool,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, fate: Fate, desk: &Arc<Desk>) -> Self {
        let expected = incoming.size_hint().exact();
        let turn = (!incoming.is_end_stream()).then(|| desk.turn());
        RequestBody {
            incoming,
            received: 0,
            expected,
            fate,
            turn,
            #[cfg(feature = "http2")]
            streamed: false,
        }
    }

    #[cfg(feature = "http2")]
    pub(super) fn streamed(mut self, streamed: bool) -> Self {
        self.streamed = streamed;
        self
    }

    /// Nothing more comes of it.
    fn ended(&mut self) {
        if let Some(turn) = self.turn.take() {
            let desk = turn.desk().clone();
            drop(turn);
            // On another thread hyper's own wake-up may have been answered before this was dropped.
            desk.wake();
        }
    }

    fn failed(&self, error: &hyper::Error) -> BodyError {
        #[cfg(feature = "http2")]
        if self.streamed {
            return of_stream(error, self.received, self.expected, self.fate.get().cloned());
        }
        // A chunk without a size, or with one that no number holds. hyper tells it as an error of the reading.
        let framing = error
            .source()
            .and_then(|source| source.downcast_ref::<io::Error>())
            .is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
        if framing {
            return BodyError::NotHttp(words(error));
        }
        let (received, expected) = (self.received, self.expected);
        BodyError::Truncated { received, expected, reason: self.fate.get().cloned() }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.incoming.is_end_stream() {
                    self.ended();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.ended();
                Some(Err(self.failed(&error)))
            }
            // hyper says so of a stream that was reset with NO_ERROR, too.
            #[cfg(feature = "http2")]
            None if self.streamed && !self.incoming.is_end_stream() => {
                self.ended();
                let (received, expected) = (self.received, self.expected);
                Some(Err(BodyError::Reset { received, expected, name: "NO_ERROR".into() }))
            }
            None => {
                self.ended();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.ended();
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("received", &self.received)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
