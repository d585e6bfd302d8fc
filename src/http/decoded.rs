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
    frames: Option<BoxBody<Bytes, BodyError>>,
    received: Received,
    /// Never locked: a mutex makes what can only be sent between threads fit to be shared, and so the response.
    ending: Mutex<Option<OnEnd>>,
}

impl DecodedBody {
    /// `decode` puts decoders around the body.
    pub(super) fn new<B>(
        body: Timed<B>,
        decode: impl FnOnce(Timed<B>) -> BoxBody<Bytes, BodyError>,
        on_end: Option<OnEnd>,
    ) -> Self
    where
        B: Body<Data = Bytes, Error = BodyError> + Unpin,
    {
        let received = body.received();
        let frames = decode(body);
        let mut body = DecodedBody { frames: Some(frames), received, ending: Mutex::new(on_end) };
        body.end_if_over();
        body
    }

    fn end_if_over(&mut self) {
        if self.is_end_stream() {
            self.end(BodyEnd::Read { received: self.received.get() });
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
        let Some(frames) = &mut self.frames else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(frames).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => self.end_if_over(),
            Some(Err(error)) => {
                let received = self.received.get();
                self.end(BodyEnd::Failed { error: error.clone(), received });
            }
            None => {
                let received = self.received.get();
                self.end(BodyEnd::Read { received });
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.frames.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for DecodedBody {
    fn drop(&mut self) {
        if self.frames.is_some() {
            self.end(BodyEnd::Dropped { received: self.received.get() });
        }
    }
}

impl fmt::Debug for DecodedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodedBody")
            .field("received", &self.received.get())
            .field("over", &self.frames.is_none())
            .finish_non_exhaustive()
    }
}
