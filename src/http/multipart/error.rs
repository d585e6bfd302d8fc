//! Why a form could not be read.

use std::fmt;

use super::read::{BodyFailed, HeadTooLarge};
use crate::http::BoxError;

/// Why a form could not be read, by who is to blame.
#[derive(Debug)]
#[non_exhaustive]
pub enum MultipartError {
    /// The peer's: its `Content-Type` is not `multipart/form-data` with a boundary. To be answered with 415.
    NotMultipart(String),
    /// The peer's: what it sent is no form, or ends before its last boundary. To be answered with 400.
    Malformed(String),
    /// Ours: it is larger than it may be. To be answered with 413.
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
        /// The field that is too large. `None`: the form is.
        field: Option<String>,
    },
    /// Ours: it has more fields than it may have. To be answered with 413.
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The body could not be read: as a [`BodyError`](crate::http::BodyError), when it was a request's.
    Body(BoxError),
}

impl MultipartError {
    pub(super) fn of(error: multer::Error) -> Self {
        match error {
            multer::Error::StreamReadFailed(error) => match error.downcast::<BodyFailed>() {
                Ok(failed) => MultipartError::Body(failed.0),
                Err(error) if error.is::<HeadTooLarge>() => MultipartError::Malformed(format!("{HeadTooLarge}")),
                Err(error) => MultipartError::Body(error),
            },
            multer::Error::FieldSizeExceeded { limit, field_name } => {
                MultipartError::TooLarge { limit, field: Some(field_name.unwrap_or_default()) }
            }
            multer::Error::StreamSizeExceeded { limit } => MultipartError::TooLarge { limit, field: None },
            multer::Error::NoMultipart | multer::Error::NoBoundary | multer::Error::DecodeContentType(_) => {
                MultipartError::NotMultipart(error.to_string())
            }
            error => MultipartError::Malformed(error.to_string()),
        }
    }
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MultipartError::NotMultipart(words) => write!(f, "the request is no form of parts: {words}"),
            MultipartError::Malformed(words) => write!(f, "the form is malformed: {words}"),
            MultipartError::TooLarge { limit, field: Some(field) } => {
                write!(f, "the field {field:?} of the form is larger than {limit} bytes")
            }
            MultipartError::TooLarge { limit, field: None } => write!(f, "the form is larger than {limit} bytes"),
            MultipartError::TooMany { limit } => write!(f, "the form has more than {limit} fields"),
            MultipartError::Body(error) => write!(f, "the form could not be read: {error}"),
        }
    }
}

impl std::error::Error for MultipartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            MultipartError::Body(error) => Some(&**error),
            _ => None,
        }
    }
}
