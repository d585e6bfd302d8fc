//! A form, as a server reads it.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Request, header::CONTENT_TYPE};
use http_body::Body;

use super::MultipartError;
use crate::http::BoxError;

/// How much of a form may be read in search of a part's head, in bytes, beside the one piece that brings it. Chosen arbitrarily: a head is a name, a file name and a content type.
const HEAD: u64 = 16 * 1024;

/// What a form may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultipartLimits {
    /// How large a field may be, in bytes. Default 8 MiB.
    pub field: u64,
    /// How large the form may be, in bytes. Default 64 MiB.
    pub total: u64,
    /// How many fields it may have. Default 1000.
    pub fields: usize,
}

impl Default for MultipartLimits {
    fn default() -> Self {
        MultipartLimits { field: 8 << 20, total: 64 << 20, fields: 1000 }
    }
}

/// The form in the body of a request: its fields one after the other, as they come. A handler that reads slowly slows the peer, and no more than a piece of the body is held.
///
/// It ends only at its last boundary; anything less is [`MultipartError::Malformed`], or says how the connection ended.
///
/// ```
/// use exeunt::http::{Body, Multipart, MultipartError, RequestBody};
/// use http::{Request, Response};
///
/// async fn upload(request: Request<RequestBody>) -> Result<Response<Body>, MultipartError> {
///     let mut form = Multipart::of(request)?;
///     let mut sizes = String::new();
///     while let Some(mut field) = form.next().await? {
///         let (name, mut size) = (field.name().unwrap_or_default().to_owned(), 0);
///         while let Some(chunk) = field.chunk().await? {
///             size += chunk.len();
///         }
///         sizes += &format!("{name}: {size} bytes\n");
///     }
///     Ok(Response::new(Body::from(sizes)))
/// }
/// # let _ = exeunt::http::serve(upload);
/// ```
pub struct Multipart {
    inner: multer::Multipart<'static>,
    /// A field whose rest is still to be passed over.
    left: Option<multer::Field<'static>>,
    /// How much may be read at present.
    allowance: Arc<AtomicU64>,
    seen: usize,
    limits: MultipartLimits,
}

impl Multipart {
    /// The form of this request, within the default limits.
    ///
    /// # Errors
    /// The request's `Content-Type` is not `multipart/form-data` with a boundary.
    pub fn of<B>(request: Request<B>) -> Result<Self, MultipartError>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        Multipart::within(request, MultipartLimits::default())
    }

    /// The same, within these limits.
    ///
    /// # Errors
    /// The request's `Content-Type` is not `multipart/form-data` with a boundary.
    pub fn within<B>(request: Request<B>, limits: MultipartLimits) -> Result<Self, MultipartError>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let not = |words: &str| MultipartError::NotMultipart(words.to_owned());
        let content_type = request.headers().get(CONTENT_TYPE).ok_or_else(|| not("it has no Content-Type"))?;
        let content_type = content_type.to_str().map_err(|_| not("its Content-Type is no text"))?;
        let boundary = multer::parse_boundary(content_type).map_err(MultipartError::of)?;
        // RFC 2046, section 5.1.1.
        if boundary.is_empty() || boundary.len() > 70 {
            return Err(not("its boundary is not of 1 to 70 characters"));
        }
        let allowance = Arc::new(AtomicU64::new(u64::MAX));
        let pieces = Pieces { body: request.into_body(), gave: false, allowance: allowance.clone() };
        let sizes = multer::SizeLimit::new().whole_stream(limits.total).per_field(limits.field);
        let constraints = multer::Constraints::new().size_limit(sizes);
        let inner = multer::Multipart::with_constraints(pieces, boundary, constraints);
        Ok(Multipart { inner, left: None, allowance, seen: 0, limits })
    }

    /// The next field; `None` at the end. What was not read of the one before is passed over.
    ///
    /// # Errors
    /// The form cannot be read, or is too large.
    pub async fn next(&mut self) -> Result<Option<Field<'_>>, MultipartError> {
        while let Some(field) = &mut self.left {
            if field.chunk().await.map_err(MultipartError::of)?.is_none() {
                self.left = None;
            }
        }
        // The library looks for a head in all that it has, and so would hold whatever is sent in place of one.
        self.allowance.store(HEAD, Relaxed);
        let next = self.inner.next_field().await;
        self.allowance.store(u64::MAX, Relaxed);
        let Some(field) = next.map_err(MultipartError::of)? else { return Ok(None) };
        self.seen += 1;
        if self.seen > self.limits.fields {
            return Err(MultipartError::TooMany { limit: self.limits.fields });
        }
        Ok(Some(Field { inner: Some(field), left: &mut self.left }))
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart").field("seen", &self.seen).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A field of a form: see [`Multipart`].
pub struct Field<'a> {
    /// `None`: it was read to its end.
    inner: Option<multer::Field<'static>>,
    left: &'a mut Option<multer::Field<'static>>,
}

impl Field<'_> {
    /// Its name, as the peer has written it.
    pub fn name(&self) -> Option<&str> {
        self.inner.as_ref()?.name()
    }

    /// The name of the file, as the peer has written it: not to be used as a path as it is.
    pub fn file_name(&self) -> Option<&str> {
        self.inner.as_ref()?.file_name()
    }

    /// Its content type.
    pub fn content_type(&self) -> Option<&str> {
        self.inner.as_ref()?.content_type().map(AsRef::as_ref)
    }

    /// Its headers.
    pub fn headers(&self) -> Option<&HeaderMap> {
        Some(self.inner.as_ref()?.headers())
    }

    /// The next bytes of it; `None` at its end, after which it has no name any more.
    ///
    /// # Errors
    /// The form cannot be read, or is too large.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        let Some(field) = &mut self.inner else { return Ok(None) };
        let chunk = field.chunk().await.map_err(MultipartError::of)?;
        if chunk.is_none() {
            self.inner = None;
        }
        Ok(chunk)
    }

    /// All of it: no more than [`MultipartLimits::field`].
    ///
    /// # Errors
    /// The form cannot be read, or is too large.
    pub async fn bytes(mut self) -> Result<Bytes, MultipartError> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let mut all = bytes::BytesMut::from(first);
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// All of it as UTF-8; what is malformed becomes U+FFFD.
    ///
    /// # Errors
    /// The form cannot be read, or is too large.
    pub async fn text(self) -> Result<String, MultipartError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }
}

impl Drop for Field<'_> {
    fn drop(&mut self) {
        *self.left = self.inner.take();
    }
}

impl fmt::Debug for Field<'_> {
    /// Without what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("name", &self.name())
            .field("file_name", &self.file_name())
            .finish_non_exhaustive()
    }
}

/// A body as the library wants it: one piece a poll, for it would else take all that is there before it looks at any.
struct Pieces<B> {
    body: B,
    gave: bool,
    allowance: Arc<AtomicU64>,
}

impl<B> Stream for Pieces<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.gave) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(Box::new(BodyFailed(error.into()))))),
                Some(Ok(frame)) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            let left = self.allowance.load(Relaxed);
            if left == 0 {
                return Poll::Ready(Some(Err(Box::new(HeadTooLarge))));
            }
            if left != u64::MAX {
                self.allowance.store(left.saturating_sub(data.len() as u64), Relaxed);
            }
            self.gave = true;
            return Poll::Ready(Some(Ok(data)));
        }
    }
}

/// The body's own error, on its way through the library.
#[derive(Debug)]
pub(super) struct BodyFailed(pub(super) BoxError);

impl fmt::Display for BodyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for BodyFailed {}

/// No head was found within [`HEAD`].
#[derive(Debug)]
pub(super) struct HeadTooLarge;

impl fmt::Display for HeadTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no head of a part within {HEAD} bytes")
    }
}

impl std::error::Error for HeadTooLarge {}
