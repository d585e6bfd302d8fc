//! What is sent.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};

use super::expect::Gate;

/// An error of any kind, as the body of a user's may have.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request or of a server's response: nothing, bytes, or a stream that is read as fast as the peer takes it.
///
/// ```
/// use exeunt::http::Body;
///
/// let bytes = Body::from("hello");
/// let stream = Body::stream(futures_util::stream::iter([Ok::<_, std::io::Error>("hel"), Ok("lo")]));
/// assert!(bytes.try_clone().is_some(), "bytes can be sent again, by a retry or a redirect");
/// assert!(stream.try_clone().is_none());
/// ```
#[derive(Default)]
pub struct Body {
    kind: Kind,
    /// Holds the body back until the peer has said 100.
    gate: Option<Gate>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    Streamed(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Body::default()
    }

    /// What this stream yields, in chunks on HTTP/1.1. An error of the stream's ends the connection, since half a message is on its way.
    pub fn stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes> + 'static,
        E: Into<BoxError> + 'static,
    {
        Body::wrap(StreamBody::new(stream.map_ok(|bytes| Frame::data(bytes.into()))))
    }

    /// Any other body, trailers included. Its length is told to the peer when its size hint is exact.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Body { kind: Kind::Streamed(body.map_err(Into::into).boxed_unsync()), gate: None }
    }

    /// The same again, if it is nothing or bytes. A stream is there once.
    pub fn try_clone(&self) -> Option<Body> {
        match &self.kind {
            Kind::Empty => Some(Body::empty()),
            Kind::Bytes(bytes) => Some(Body::from(bytes.clone())),
            Kind::Streamed(_) => None,
        }
    }

    pub(super) fn hold_back(&mut self, gate: Gate) {
        self.gate = Some(gate);
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(gate) = &mut self.gate {
            std::task::ready!(gate.poll_open(cx))?;
            self.gate = None;
        }
        match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Empty => f.write_str("Body::empty"),
            Kind::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Streamed(_) => f.write_str("Body::stream"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body { kind: if bytes.is_empty() { Kind::Empty } else { Kind::Bytes(bytes) }, gate: None }
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => {$(
        impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Body::from(Bytes::from(bytes))
            }
        }
    )*};
}
from_bytes!(Vec<u8>, String, &'static [u8], &'static str);
