//! What is sent.

#[cfg(feature = "multipart")]
use std::collections::VecDeque;
#[cfg(feature = "http2")]
use std::sync::Arc;
use std::{
    borrow::Borrow,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::HeaderValue;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};

use super::expect::Gate;
#[cfg(feature = "http2")]
use super::http2::StreamGuard;

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
pub struct Body(Option<Box<Inner>>);

/// Boxed, because a request goes through many hands, and hyper keeps room for thirty-two of them; and made only where there is something: most requests have no body.
#[derive(Default)]
struct Inner {
    kind: Kind,
    /// Holds the body back until the peer has said 100.
    gate: Option<Gate>,
    content_type: Option<HeaderValue>,
    /// The stream of HTTP/2 that it is a part of, until it is sent.
    #[cfg(feature = "http2")]
    stream: Option<Arc<StreamGuard>>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    /// Pieces of bytes, one after the other.
    #[cfg(feature = "multipart")]
    Many(VecDeque<Bytes>),
    Streamed(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Body::default()
    }

    /// What this stream yields, in chunks on HTTP/1.1. An error of the stream's ends the connection, since half a message is on its way; on HTTP/2 it resets its own stream.
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
        Body::of(Kind::Streamed(body.map_err(Into::into).boxed_unsync()), None)
    }

    /// This as JSON. Fails when it cannot be written so: a map whose keys are not strings, or what its own `Serialize` says.
    ///
    /// ```
    /// let body = exeunt::http::Body::json(&serde_json::json!({ "name": "value" }))?;
    /// assert_eq!(body.content_type().unwrap(), "application/json");
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    #[cfg(feature = "json")]
    pub fn json(value: &(impl serde::Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        let body = Body::from(serde_json::to_vec(value)?);
        Ok(body.with_content_type(HeaderValue::from_static("application/json")))
    }

    /// These pairs as the fields of a form (`application/x-www-form-urlencoded`).
    ///
    /// ```
    /// let body = exeunt::http::Body::form(&[("name", "a value")]);
    /// assert_eq!(body.content_type().unwrap(), "application/x-www-form-urlencoded");
    /// ```
    pub fn form<I, K, V>(pairs: I) -> Self
    where
        I: IntoIterator,
        I::Item: Borrow<(K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Body::from(form).with_content_type(HeaderValue::from_static("application/x-www-form-urlencoded"))
    }

    /// The `Content-Type` that goes with it, if it is a form, `multipart/form-data` or JSON: for whoever makes the head, since an [`Exchange`](super::Exchange) goes out as it is.
    pub fn content_type(&self) -> Option<HeaderValue> {
        self.0.as_ref()?.content_type.clone()
    }

    /// The same again, if it is nothing or bytes. A stream is there once.
    pub fn try_clone(&self) -> Option<Body> {
        let Some(inner) = &self.0 else { return Some(Body::empty()) };
        let kind = match &inner.kind {
            Kind::Empty => Kind::Empty,
            Kind::Bytes(bytes) => Kind::Bytes(bytes.clone()),
            #[cfg(feature = "multipart")]
            Kind::Many(pieces) => Kind::Many(pieces.clone()),
            Kind::Streamed(_) => return None,
        };
        Some(Body::of(kind, inner.content_type.clone()))
    }

    fn of(kind: Kind, content_type: Option<HeaderValue>) -> Self {
        Body(Some(Box::new(Inner { kind, content_type, ..Inner::default() })))
    }

    /// To say something of it.
    fn inner(&mut self) -> &mut Inner {
        self.0.get_or_insert_default()
    }

    /// These pieces, one after the other.
    #[cfg(feature = "multipart")]
    pub(super) fn many(pieces: VecDeque<Bytes>) -> Self {
        Body::of(Kind::Many(pieces), None)
    }

    pub(super) fn with_content_type(mut self, content_type: HeaderValue) -> Self {
        self.inner().content_type = Some(content_type);
        self
    }

    /// What it is, if it is of one piece.
    #[cfg(feature = "digest")]
    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        match self.kind() {
            Kind::Empty => Some(&[]),
            Kind::Bytes(bytes) => Some(bytes),
            #[cfg(feature = "multipart")]
            Kind::Many(_) => None,
            Kind::Streamed(_) => None,
        }
    }

    pub(super) fn hold_back(&mut self, gate: Gate) {
        self.inner().gate = Some(gate);
    }

    #[cfg(feature = "http2")]
    pub(super) fn part_of(&mut self, stream: Option<Arc<StreamGuard>>) {
        if stream.is_some() || self.0.is_some() {
            self.inner().stream = stream;
        }
    }

    fn kind(&self) -> &Kind {
        self.0.as_ref().map_or(&Kind::Empty, |inner| &inner.kind)
    }
}

impl Inner {
    fn poll_kind(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
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
            #[cfg(feature = "multipart")]
            Kind::Many(pieces) => Poll::Ready(pieces.pop_front().map(|piece| Ok(Frame::data(piece)))),
            Kind::Streamed(body) => http_body::Body::poll_frame(Pin::new(body), cx),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(inner) = &mut self.0 else { return Poll::Ready(None) };
        let polled = inner.poll_kind(cx);
        #[cfg(feature = "http2")]
        if let (Poll::Ready(Some(Err(error))), Some(stream)) = (&polled, &inner.stream) {
            stream.body_failed(error);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self.kind() {
            Kind::Empty => true,
            Kind::Bytes(bytes) => bytes.is_empty(),
            #[cfg(feature = "multipart")]
            Kind::Many(pieces) => pieces.is_empty(),
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.kind() {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            #[cfg(feature = "multipart")]
            Kind::Many(pieces) => SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum()),
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Empty => f.write_str("Body::empty"),
            Kind::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            #[cfg(feature = "multipart")]
            Kind::Many(pieces) => write!(f, "Body({} bytes)", pieces.iter().map(Bytes::len).sum::<usize>()),
            Kind::Streamed(_) => f.write_str("Body::stream"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Body::empty() } else { Body::of(Kind::Bytes(bytes), None) }
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn read(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[actix::test]
    async fn a_form_is_of_pairs_owned_or_borrowed() {
        let borrowed = Body::form(&[("name", "a value"), ("ä&=", "")]);
        let again = borrowed.try_clone().unwrap();
        assert_eq!(again.content_type(), borrowed.content_type(), "a retry says what it sends");
        let owned = Body::form(vec![("name".to_owned(), "a value"), ("ä&=".to_owned(), "")]);
        for body in [borrowed, again, owned] {
            assert_eq!(read(body).await, "name=a+value&%C3%A4%26%3D=");
        }
    }

    #[cfg(feature = "json")]
    #[actix::test]
    async fn json_is_written_or_refused() {
        assert_eq!(read(Body::json(&[1, 2]).unwrap()).await, "[1,2]");
        let keys_of_bytes = std::collections::BTreeMap::from([(vec![1u8], 1)]);
        assert!(Body::json(&keys_of_bytes).is_err());
    }
}
