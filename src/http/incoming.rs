//! What is received.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::expect::Verdict;
#[cfg(feature = "http2")]
use super::http2::{Blame, StreamGuard};
use crate::fate::Reason;

/// Why a connection ended, for the body that was still being read from it.
pub(super) type Fate = Arc<OnceLock<Reason>>;

/// The body of a response, as it comes: a reader that is slow slows the peer.
///
/// It ends only where HTTP says that it ends: at its length, at its last chunk, with its stream on HTTP/2, or, when it has none of these, at the peer's close_notify. Anything less is an error:
/// [`BodyError::Truncated`], or [`BodyError::Reset`] where only its stream has ended.
pub struct ResponseBody {
    /// `None`: it has ended. So that nobody who keeps it keeps a stream open.
    incoming: Option<Incoming>,
    received: u64,
    expected: Option<u64>,
    fate: Fate,
    /// Whoever holds back a request's body is told when the answer was read.
    verdict: Option<Verdict>,
    /// The handle that keeps the connection from closing for want of one. In a drain the pool lets go of its own.
    keep: Option<Arc<dyn Send + Sync>>,
    /// What hyper gave before anybody asked.
    ahead: Option<Result<Bytes, hyper::Error>>,
    /// The stream of HTTP/2 that it is a part of.
    #[cfg(feature = "http2")]
    stream: Option<Arc<StreamGuard>>,
}

/// Bodies of up to this size are taken from hyper before they are asked for: as much as hyper has read of them anyway. It spares the connection and the reader a turn each.
const AHEAD: u64 = 16 * 1024;

/// What was taken from hyper before anybody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Nothing, and hyper is to be polled for it once: it gives out a body only when that is wanted.
    Nothing,
    /// A part, and hyper is to be polled for the rest.
    Part,
    /// All, or as much as is ever taken.
    Enough,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, fate: Fate, verdict: Option<Verdict>) -> Self {
        let expected = incoming.size_hint().exact();
        let ended = incoming.is_end_stream();
        let mut body = ResponseBody {
            incoming: Some(incoming),
            received: 0,
            expected,
            fate,
            verdict,
            keep: None,
            ahead: None,
            #[cfg(feature = "http2")]
            stream: None,
        };
        if ended {
            body.ended();
        }
        body
    }

    /// Keeps this until the body has ended.
    pub(super) fn keep(&mut self, what: Arc<dyn Send + Sync>) {
        if self.incoming.is_some() {
            self.keep = Some(what);
        }
    }

    /// Takes a small body that has come already.
    pub(super) fn look_ahead(&mut self, cx: &mut Context<'_>) -> Ahead {
        let Some(incoming) = &mut self.incoming else { return Ahead::Enough };
        // Of a body that has a length, the first that comes is data.
        let is_small = self.expected.is_some_and(|bytes| (1..=AHEAD).contains(&bytes));
        // Whether somebody has read an answer means something to a body that is held back.
        if !is_small || self.verdict.is_some() || self.ahead.is_some() || incoming.is_end_stream() {
            return Ahead::Enough;
        }
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Pending => Ahead::Nothing,
            Poll::Ready(frame) => {
                self.ahead = frame.and_then(|frame| frame.map(|frame| frame.into_data().ok()).transpose());
                if incoming.is_end_stream() { Ahead::Enough } else { Ahead::Part }
            }
        }
    }

    #[cfg(feature = "http2")]
    pub(super) fn part_of(mut self, stream: Arc<StreamGuard>) -> Self {
        self.stream = self.incoming.is_some().then_some(stream);
        self
    }

    fn ended(&mut self) {
        self.incoming = None;
        self.keep = None;
        if let Some(verdict) = self.verdict.take() {
            verdict.refused();
        }
        #[cfg(feature = "http2")]
        {
            self.stream = None;
        }
    }

    fn failed(&self, error: &hyper::Error) -> BodyError {
        let (reason, received) = (self.fate.get().cloned(), self.received);
        #[cfg(feature = "http2")]
        if self.stream.is_some() {
            return of_stream(error, received, self.expected, reason);
        }
        // What the peer sent is wrong only if the connection is not what failed.
        if reason.is_none() && (error.is_parse() || error.is_parse_too_large()) {
            return BodyError::NotHttp(words(error));
        }
        match &reason {
            Some(Reason::Protocol(words)) => BodyError::NotHttp(words.clone()),
            _ => BodyError::Truncated { received, expected: self.expected, reason },
        }
    }

    /// hyper says that nothing more comes. On HTTP/2 it says so of a stream, too, that was reset with NO_ERROR, which means that the request is wanted no further, and is no end of a response (RFC 9113, section 8.1).
    fn is_whole(&self) -> bool {
        #[cfg(feature = "http2")]
        if self.stream.is_some() {
            return self.incoming.as_ref().is_none_or(Incoming::is_end_stream);
        }
        true
    }
}

/// Why a body that came on a stream of HTTP/2 has no end.
#[cfg(feature = "http2")]
pub(super) fn of_stream(
    error: &hyper::Error,
    received: u64,
    expected: Option<u64>,
    reason: Option<Reason>,
) -> BodyError {
    match Blame::of(error) {
        Blame::Reset(name) => BodyError::Reset { received, expected, name },
        Blame::Refused => BodyError::Reset { received, expected, name: "REFUSED_STREAM".into() },
        Blame::NotHttp(words) | Blame::Ours(words) if reason.is_none() => BodyError::NotHttp(words),
        Blame::TimedOut => {
            let reason = reason.or(Some(Reason::TimedOut(crate::lifecycle::Phase::Open)));
            BodyError::Truncated { received, expected, reason }
        }
        _ => match reason {
            Some(Reason::Protocol(words)) => BodyError::NotHttp(words),
            reason => BodyError::Truncated { received, expected, reason },
        },
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match (self.ahead.take(), &mut self.incoming) {
            (Some(ahead), _) => Some(ahead.map(Frame::data)),
            (None, Some(incoming)) => ready!(Pin::new(incoming).poll_frame(cx)),
            (None, None) => None,
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let ended = self.incoming.as_ref().is_none_or(Incoming::is_end_stream);
                self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                if ended {
                    self.ended();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = self.failed(&error);
                self.ended();
                Some(Err(error))
            }
            None if !self.is_whole() => {
                let (received, expected) = (self.received, self.expected);
                self.ended();
                Some(Err(BodyError::Reset { received, expected, name: "NO_ERROR".into() }))
            }
            None => {
                self.ended();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.ahead, self.expected) {
            (Some(_), Some(expected)) => SizeHint::with_exact(expected - self.received),
            _ => self.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint),
        }
    }
}

/// An error with what lies under it, in one line.
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    words
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.ended();
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("received", &self.received)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// Why a body could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The connection ended in the middle of it.
    Truncated {
        /// How many bytes of the body had come, as they were sent (before any decoding).
        received: u64,
        /// How many it should have. `None`: it had no length.
        expected: Option<u64>,
        /// Why the connection ended, as far as it is known by now.
        reason: Option<Reason>,
    },
    /// The peer has reset its stream in the middle of it; the connection goes on. On HTTP/2 only.
    Reset {
        /// How many bytes of the body had come, as they were sent (before any decoding).
        received: u64,
        /// How many it should have. `None`: it had no length.
        expected: Option<u64>,
        /// The name of the error that the peer gives (RFC 9113, section 7).
        name: String,
    },
    /// Its framing is not HTTP. In the words of the HTTP library.
    NotHttp(String),
    /// A deadline passed while more of it was awaited, or was due.
    TimedOut {
        /// Which.
        deadline: BodyDeadline,
        /// How many bytes of the body had come, as they were sent (before any decoding).
        received: u64,
    },
    /// It is larger than it may be: after decoding, or for [`Response::bytes_at_most`](super::Response::bytes_at_most).
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// What came is not in the encoding of its `Content-Encoding`, or ends in the middle of it.
    Decode {
        /// The encoding, as HTTP names it: `gzip`, `deflate`, `br` or `zstd`.
        encoding: &'static str,
        /// In the decoder's words.
        words: String,
    },
    /// The text is in a charset that is unknown here, by its name. Without the feature `charset` all but UTF-8 and US-ASCII are.
    Charset(String),
    /// It is not the JSON that was asked for. In the words of the JSON library, with line and column.
    Json(String),
}

/// The deadlines of a body that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyDeadline {
    /// Nothing came for so long while the reader waited.
    BetweenReads(Duration),
    /// The request's total timeout, which is the body's, too.
    Total,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Truncated { received, expected, reason } => {
                write!(f, "the body is truncated: {received} bytes came")?;
                if let Some(expected) = expected {
                    write!(f, " of {expected}")?;
                }
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            BodyError::Reset { received, expected, name } => {
                write!(f, "the peer has reset the body: {received} bytes came")?;
                if let Some(expected) = expected {
                    write!(f, " of {expected}")?;
                }
                write!(f, ": {name}")
            }
            BodyError::NotHttp(words) => write!(f, "the body is not as HTTP has it: {words}"),
            BodyError::TimedOut { deadline: BodyDeadline::BetweenReads(after), received } => {
                write!(f, "the body has stalled: {received} bytes came, then nothing for {after:?}")
            }
            BodyError::TimedOut { deadline: BodyDeadline::Total, received } => {
                write!(f, "the body did not come in time: {received} bytes came before the total timeout")
            }
            BodyError::TooLarge { limit } => write!(f, "the body is larger than {limit} bytes"),
            BodyError::Decode { encoding, words } => write!(f, "the body is not {encoding}: {words}"),
            BodyError::Charset(name) => write!(f, "the body's charset is unknown here: {name}"),
            BodyError::Json(words) => write!(f, "the body is not the JSON that was asked for: {words}"),
        }
    }
}

impl std::error::Error for BodyError {}
