//! What a session's request gives.

use std::{fmt, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{
    Extensions, HeaderMap, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    response::Parts,
};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::{
    ResponseBody, charset,
    decode::{self, MOST_DECODED},
    decoded::{DecodedBody, Frames, OnEnd},
    incoming::BodyError,
    timed::Timed,
    upgrade::{self, UpgradeError},
};
use crate::{connection::SupervisedStream, fate::ConnectionId};

/// The response to a request: its head, and its body as it comes.
///
/// A body that is not read to its end costs the connection on HTTP/1.1, and its stream on HTTP/2, so read it, with a limit if you do not trust the peer ([`bytes_at_most`](Response::bytes_at_most)), or drop it and know that. It is decoded by its
/// `Content-Encoding` when the session does that, and then the headers have neither `Content-Encoding` nor `Content-Length` any more, which would describe what is no longer there.
///
/// ```
/// # async fn example(mut response: exeunt::http::Response) -> Result<(), Box<dyn std::error::Error>> {
/// let mut length = 0;
/// while let Some(bytes) = response.chunk().await? {
///     length += bytes.len(); // As fast as this is done, the peer is read.
/// }
/// println!("{} {}: {length} bytes", response.uri(), response.status());
/// # Ok(())
/// # }
/// ```
pub struct Response(Box<Inner>);

/// Boxed, because a response goes through many hands before its body is read.
struct Inner {
    head: Parts,
    body: DecodedBody,
    trailers: Option<HeaderMap>,
    uri: Uri,
    history: Vec<Uri>,
    peer: Option<SocketAddr>,
    connection: ConnectionId,
    reused: bool,
}

/// What a session knows of a response besides itself.
pub(crate) struct ResponseContext {
    /// What was asked in the end.
    pub(crate) uri: Uri,
    /// What was asked before, redirect by redirect.
    pub(crate) history: Vec<Uri>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) connection: ConnectionId,
    pub(crate) reused: bool,
    /// The longest time between two frames of the body.
    pub(crate) between_reads: Option<Duration>,
    /// The end of the total timeout.
    pub(crate) until: Option<Instant>,
    /// `None`: the default.
    pub(crate) most_decoded: Option<u64>,
    pub(crate) auto_decode: bool,
    /// It answers a HEAD: its headers describe a body that does not come.
    pub(crate) head: bool,
    pub(crate) on_end: Option<OnEnd>,
}

impl Response {
    pub(crate) fn new(head: Parts, body: ResponseBody, context: ResponseContext) -> Self {
        Response::with(head, body, context, Frames::AsSent)
    }

    /// `as_sent`: what is to be read where there is nothing to decode.
    fn with<B>(mut head: Parts, body: B, context: ResponseContext, as_sent: impl FnOnce(Timed<B>) -> Frames) -> Self
    where
        B: Body<Data = Bytes, Error = BodyError> + Send + Sync + Unpin + 'static,
    {
        let decodes = context.auto_decode && !context.head && !body.is_end_stream();
        let encodings = if decodes { decode::take_encodings(&mut head) } else { Vec::new() };
        let limit = context.most_decoded.unwrap_or(MOST_DECODED);
        let body = Timed::new(body, context.between_reads, context.until);
        let frames = match encodings.is_empty() {
            true => as_sent(body),
            false => Frames::decoded(body, encodings, limit),
        };
        let body = DecodedBody::new(frames, context.on_end);
        let ResponseContext { uri, history, peer, connection, reused, .. } = context;
        Response(Box::new(Inner { head, body, trailers: None, uri, history, peer, connection, reused }))
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.head.status
    }

    /// The version of HTTP that it came in.
    pub fn version(&self) -> Version {
        self.0.head.version
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.head.headers
    }

    /// The headers, to be changed: [`text`](Response::text) looks at the `Content-Type` that it finds here.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.head.headers
    }

    /// What the HTTP library attached.
    pub fn extensions(&self) -> &Extensions {
        &self.0.head.extensions
    }

    /// What was asked for, after all redirects.
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// What was asked for before, oldest first: empty if there was no redirect.
    pub fn history(&self) -> &[Uri] {
        &self.0.history
    }

    /// The address at the other end of the connection, if it has one.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer
    }

    /// The connection that it came over.
    pub fn connection(&self) -> ConnectionId {
        self.0.connection
    }

    /// Whether the connection had served another request before.
    pub fn reused(&self) -> bool {
        self.0.reused
    }

    /// The `Content-Length`, in bytes. `None`: it has none that is a number, or the body is decoded. For a HEAD it is the length that a GET would have.
    pub fn content_length(&self) -> Option<u64> {
        self.0.head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Itself, unless the status is 4xx or 5xx. The error holds the response, and so the connection, until it is dropped: its body often says what was wrong.
    pub fn error_for_status(self) -> Result<Self, StatusError> {
        if self.status().is_client_error() || self.status().is_server_error() {
            return Err(StatusError { response: self });
        }
        Ok(self)
    }

    /// The stream that the connection has become, when the request asked for an `Upgrade` and this is a 101: see [`upgrade`](super::upgrade()). It is not the pool's any more and has no place under its limits, but it is the
    /// session's: drained, closed and counted with it. The request's deadlines end with this response's head.
    ///
    /// ```no_run
    /// # async fn example(session: exeunt::http::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// let asked = session.get("https://localhost:8443/").header("connection", "upgrade").header("upgrade", "shout");
    /// let mut stream = asked.send().await?.upgrade().await?;
    /// tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The request was answered otherwise, and then the response is there to be read; or it did not ask; or the connection ended first.
    pub async fn upgrade(&mut self) -> Result<SupervisedStream, UpgradeError> {
        upgrade::take(&mut self.0.head.extensions, upgrade::otherwise(self.0.head.status)).await
    }

    /// The next bytes of the body, as they come; `None` at its end. Nothing is lost when this is dropped while it waits.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        while let Some(frame) = self.0.body.frame().await.transpose()? {
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(frame) => self.0.trailers = frame.into_trailers().ok(),
            }
        }
        Ok(None)
    }

    /// The trailers, if the peer sent some: they are there when [`chunk`](Response::chunk) has come to the end.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.0.trailers.as_ref()
    }

    /// The whole body. There is no limit but that of the decoder: see [`bytes_at_most`](Response::bytes_at_most).
    pub async fn bytes(self) -> Result<Bytes, BodyError> {
        self.bytes_at_most(u64::MAX).await
    }

    /// The whole body, if it has no more than so many bytes (after decoding); else [`BodyError::TooLarge`], at once if the peer says so itself.
    pub async fn bytes_at_most(mut self, limit: u64) -> Result<Bytes, BodyError> {
        let hint = self.0.body.size_hint();
        if hint.lower() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        let fits = |length: usize| if length as u64 > limit { Err(BodyError::TooLarge { limit }) } else { Ok(()) };
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        fits(first.len())?;
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity((hint.lower().min(MOST_BELIEVED) as usize).max(first.len()));
        whole.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(bytes) = next {
            fits(whole.len() + bytes.len())?;
            whole.extend_from_slice(&bytes);
            next = self.chunk().await?;
        }
        Ok(whole.freeze())
    }

    /// The whole body as text, by its byte order mark, else by the charset of the `Content-Type` (any that the web knows, with the feature `charset`; without it UTF-8 and US-ASCII), else as UTF-8. What is malformed
    /// becomes U+FFFD. A charset that is unknown is [`BodyError::Charset`].
    pub async fn text(self) -> Result<String, BodyError> {
        let content_type = self.0.head.headers.get(CONTENT_TYPE).cloned();
        charset::text(content_type.as_ref(), &self.bytes().await?)
    }

    /// The whole body as JSON, in UTF-8, whatever its `Content-Type`; a byte order mark is passed over.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, BodyError> {
        let bytes = self.bytes().await?;
        let json = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        serde_json::from_slice(json).map_err(|error| BodyError::Json(error.to_string()))
    }

    /// The body as a stream of bytes, without trailers.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Sync + Unpin + 'static {
        self.0.body.into_data_stream()
    }

    /// The body.
    pub fn into_body(self) -> DecodedBody {
        self.0.body
    }

    /// It as the `http` crate has it.
    pub fn into_http(self) -> http::Response<DecodedBody> {
        let Inner { head, body, .. } = *self.0;
        http::Response::from_parts(head, body)
    }
}

/// How much room is made for a body because its peer says that it comes. Chosen arbitrarily: most fit, and a lie costs little.
const MOST_BELIEVED: u64 = 1 << 20;

impl fmt::Debug for Response {
    /// Without headers and URL, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.0.head.status)
            .field("version", &self.0.head.version)
            .field("connection", &self.0.connection)
            .field("reused", &self.0.reused)
            .field("body", &self.0.body)
            .finish_non_exhaustive()
    }
}

/// A status of 4xx or 5xx, as [`Response::error_for_status`] has it.
#[derive(Debug)]
pub struct StatusError {
    response: Response,
}

impl StatusError {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The response, whose body was not read.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// The response, to read its body.
    pub fn into_response(self) -> Response {
        self.response
    }
}

impl fmt::Display for StatusError {
    /// Without user, password and query, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = &self.response.0.uri;
        write!(f, "{} from ", self.status())?;
        if let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) {
            write!(f, "{scheme}://{host}")?;
        }
        if let Some(port) = uri.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(uri.path())
    }
}

impl std::error::Error for StatusError {}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
