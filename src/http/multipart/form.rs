//! A form, as it is put together.

use std::{
    collections::VecDeque,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
};

use bytes::Bytes;
use futures_util::Stream;
use http::HeaderValue;

use super::write::{FormBody, Piece};
use crate::http::{Body, BoxError};

/// A form that is sent as `multipart/form-data`: fields, files, and streams of either.
///
/// Its length is told when every part's is known. It can be sent again, by a redirect or a retry, when every part is bytes. A part that is a stream is read as fast as the peer takes it.
///
/// Names and file names go as UTF-8, as browsers send them: a quotation mark is `%22`, a carriage return `%0D`, a line feed `%0A` (HTML, section 4.10.21.8). The values go as they are.
///
/// ```no_run
/// # async fn example(session: exeunt::http::Session, file: tokio::fs::File) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::http::{Form, Part};
/// use http::HeaderValue;
///
/// let photo = Part::bytes(vec![0xff, 0xd8]).file_name("me.jpg").content_type(HeaderValue::from_static("image/jpeg"));
/// let form = Form::new().text("name", "a value").part("photo", photo);
/// session.post("https://localhost/upload").multipart(form).send().await?;
///
/// // A file of any size, with its length, so that no chunks are needed.
/// let length = file.metadata().await?.len();
/// let report = Part::sized(tokio_util::io::ReaderStream::new(file), length).file_name("report.pdf");
/// session.post("https://localhost/upload").multipart(Form::new().part("report", report)).send().await?;
/// # Ok(())
/// # }
/// ```
pub struct Form {
    boundary: String,
    parts: Vec<(String, Part)>,
}

impl Default for Form {
    fn default() -> Self {
        Form::new()
    }
}

impl Form {
    /// A form without parts, and with a boundary of its own: 128 bits that nobody who does not see the form can guess, so that no value contains it, by chance or by malice.
    pub fn new() -> Self {
        // Its keys are the system's random numbers, and SipHash is made for that: what it answers does not tell them.
        let random = || RandomState::new().build_hasher().finish();
        Form { boundary: format!("exeunt-{:016x}{:016x}", random(), random()), parts: Vec::new() }
    }

    /// A field with this value.
    pub fn text(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.part(name, Part::text(value))
    }

    /// Any part, under this name.
    pub fn part(mut self, name: impl Into<String>, part: Part) -> Self {
        self.parts.push((name.into(), part));
        self
    }

    /// What stands between the parts.
    pub fn boundary(&self) -> &str {
        &self.boundary
    }
}

/// A part of a [`Form`].
pub struct Part {
    pub(super) content: Content,
    file_name: Option<String>,
    content_type: Option<HeaderValue>,
}

pub(super) enum Content {
    Bytes(Bytes),
    /// With the length that was promised.
    Stream(Body, Option<u64>),
}

impl Part {
    fn new(content: Content) -> Self {
        Part { content, file_name: None, content_type: None }
    }

    /// This text, without a content type, as the fields of a form are.
    pub fn text(value: impl Into<String>) -> Self {
        Part::new(Content::Bytes(Bytes::from(value.into())))
    }

    /// These bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Part::new(Content::Bytes(bytes.into()))
    }

    /// What this stream yields. The form then has no length, and goes in chunks on HTTP/1.1.
    pub fn stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes> + 'static,
        E: Into<BoxError> + 'static,
    {
        Part::new(Content::Stream(Body::stream(stream), None))
    }

    /// What this stream yields, which is so many bytes: no more and no fewer, or the request fails.
    pub fn sized<S, B, E>(stream: S, length: u64) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes> + 'static,
        E: Into<BoxError> + 'static,
    {
        Part::new(Content::Stream(Body::stream(stream), Some(length)))
    }

    /// The name of the file that it is. Its content type is then `application/octet-stream`, unless another is given.
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Its content type.
    pub fn content_type(mut self, content_type: HeaderValue) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// What stands before it.
    fn head(&self, boundary: &str, name: &str) -> Bytes {
        let mut head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", escaped(name)).into_bytes();
        if let Some(file_name) = &self.file_name {
            head.extend_from_slice(format!("; filename=\"{}\"", escaped(file_name)).as_bytes());
        }
        let of_files = self.file_name.as_ref().map(|_| &b"application/octet-stream"[..]);
        if let Some(content_type) = self.content_type.as_ref().map(HeaderValue::as_bytes).or(of_files) {
            head.extend_from_slice(b"\r\nContent-Type: ");
            head.extend_from_slice(content_type);
        }
        head.extend_from_slice(b"\r\n\r\n");
        head.into()
    }
}

/// As browsers write names: HTML, section 4.10.21.8, "multipart form data".
fn escaped(name: &str) -> String {
    name.replace('\n', "%0A").replace('\r', "%0D").replace('"', "%22")
}

impl From<Form> for Body {
    fn from(form: Form) -> Self {
        let Form { boundary, parts } = form;
        let mut pieces = VecDeque::new();
        for (name, part) in parts {
            pieces.push_back(Piece::Bytes(part.head(&boundary, &name)));
            pieces.push_back(match part.content {
                Content::Bytes(bytes) => Piece::Bytes(bytes),
                Content::Stream(body, length) => Piece::Stream { name, body, length, left: length },
            });
            pieces.push_back(Piece::Bytes(Bytes::from_static(b"\r\n")));
        }
        pieces.push_back(Piece::Bytes(Bytes::from(format!("--{boundary}--\r\n"))));
        let bytes: Option<VecDeque<Bytes>> = pieces.iter().map(Piece::bytes).collect();
        let body = match bytes {
            Some(mut bytes) => {
                bytes.retain(|bytes| !bytes.is_empty());
                Body::many(bytes)
            }
            None => Body::wrap(FormBody::new(pieces)),
        };
        match HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}")) {
            Ok(content_type) => body.with_content_type(content_type),
            // It is of letters and digits.
            Err(_) => body,
        }
    }
}

impl fmt::Debug for Form {
    /// Without names and values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Part");
        match &self.content {
            Content::Bytes(bytes) => shown.field("bytes", &bytes.len()),
            Content::Stream(_, length) => shown.field("length", length),
        };
        shown.field("content_type", &self.content_type).finish_non_exhaustive()
    }
}
