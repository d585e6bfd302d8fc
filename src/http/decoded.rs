//! The body of a response as its reader gets it, and the word of how it ended.

use std::{
    fmt,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;

use super::{
    ResponseBody,
    decode::{self, Encoding},
    incoming::BodyError,
    timed::{Received, Timed},
};

/// How the reading of a response's body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyEnd {
    /// It was read to its end.
    Read {
        /// How many bytes of it came, as they were sent (before any decoding).
        received: u64,
    },
    /// It could not be read.
    Failed {
        /// Why.
        error: BodyError,
        /// How many bytes of it had come.
        received: u64,
    },
    /// Whoever read it lost interest before its end. On HTTP/1.1 that costs the connection.
    Dropped {
        /// How many bytes of it had come.
        received: u64,
    },
}

impl BodyEnd {
    /// How many bytes of the body came, as they were sent (before any decoding).
    pub fn received(&self) -> u64 {
        match self {
            BodyEnd::Read { received } | BodyEnd::Failed { received, .. } | BodyEnd::Dropped { received } => *received,
        }
    }
}

/// Called once, when the body has ended in whatever way.
pub(crate) type OnEnd = Box<dyn FnOnce(&BodyEnd) + Send>;

/// The body of a response, decoded if it was to be: an [`http_body::Body`], trailers included.
///
/// It is read as fast as its reader reads: at most one frame of the peer's and one buffer of each decoder wait for it. After an error it is over.
pub struct DecodedBody {
    frames: Option<Frames>,
    /// Never locked: a mutex makes what can only be sent between threads fit to be shared, and so the response.
    ending: Mutex<Option<OnEnd>>,
}

/// Boxed only where something is between it and its reader: most bodies come as they are.
pub(super) enum Frames {
    AsSent(Timed<ResponseBody>),
    Boxed(BoxBody<Bytes, BodyError>, Received),
}

impl Frames {
    /// With decoders around the body, if there are encodings.
    pub(super) fn decoded<B>(mut body: Timed<B>, encodings: Vec<Encoding>, limit: u64) -> Self
    where
        B: Body<Data = Bytes, Error = BodyError> + Send + Sync + Unpin + 'static,
    {
        let received = body.tell_received();
        Frames::Boxed(decode::around(body, encodings, limit), received)
    }

    fn body(&self) -> &dyn Body<Data = Bytes, Error = BodyError> {
        match self {
            Frames::AsSent(body) => body,
            Frames::Boxed(body, _) => body,
        }
    }

    fn received(&self) -> u64 {
        match self {
            Frames::AsSent(body) => body.received(),
            Frames::Boxed(_, received) => received.get(),
        }
    }
}

impl DecodedBody {
    pub(super) fn new(frames: Frames, on_end: Option<OnEnd>) -> Self {
        let mut body = DecodedBody { frames: Some(frames), ending: Mutex::new(on_end) };
        body.end_if_over();
        body
    }

    fn received(&self) -> u64 {
        self.frames.as_ref().map_or(0, Frames::received)
    }

    fn end_if_over(&mut self) {
        if self.is_end_stream() {
            self.end(BodyEnd::Read { received: self.received() });
        }
    }

    /// The body goes first: whoever is told may rely on it that the connection knows.
    fn end(&mut self, end: BodyEnd) {
        self.frames = None;
        let ending = self.ending.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(on_end) = ending.take() {
            on_end(&end);
        }
    }
}

impl Body for DecodedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(match &mut self.frames {
            Some(Frames::AsSent(body)) => Pin::new(body).poll_frame(cx),
            Some(Frames::Boxed(body, _)) => Pin::new(body).poll_frame(cx),
            None => return Poll::Ready(None),
        });
        match &frame {
            Some(Ok(_)) => self.end_if_over(),
            Some(Err(error)) => {
                let received = self.received();
                self.end(BodyEnd::Failed { error: error.clone(), received });
            }
            None => {
                let received = self.received();
                self.end(BodyEnd::Read { received });
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.as_ref().is_none_or(|frames| frames.body().is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.frames.as_ref().map_or_else(|| SizeHint::with_exact(0), |frames| frames.body().size_hint())
    }
}

impl Drop for DecodedBody {
    fn drop(&mut self) {
        if self.frames.is_some() {
            self.end(BodyEnd::Dropped { received: self.received() });
        }
    }
}

impl fmt::Debug for DecodedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodedBody")
            .field("received", &self.frames.as_ref().map(Frames::received))
            .field("over", &self.frames.is_none())
            .finish_non_exhaustive()
    }
}
