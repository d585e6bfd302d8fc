//! Why a stream could not be read from, or written to.

use std::{fmt, io};

use crate::fate::{Lost, Reason};

/// What is inside the `io::Error`s of a [`SupervisedStream`](super::SupervisedStream): `error.get_ref()` and a downcast give it.
///
/// The kind of the `io::Error` follows the reason: `UnexpectedEof` for a truncation, `ConnectionReset`, `TimedOut`, `InvalidData` for what was not TLS, `ConnectionAborted` for what was ended here,
/// `Other` for the rest. A write after a close, and as long as the end is not known, is a `BrokenPipe`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The connection has ended, as this says.
    Lost(Box<Lost>),
    /// The connection is closing: nothing more is read or accepted. [`closed`](super::SupervisedStream::closed) answers with its end.
    Closing {
        /// Why, if it is not simply that it was asked to.
        cause: Option<Reason>,
    },
    /// The application itself has shut its direction down, and writes.
    ShutDown,
}

impl StreamError {
    /// How the connection ended, if it has.
    pub fn lost(&self) -> Option<&Lost> {
        match self {
            StreamError::Lost(lost) => Some(lost),
            _ => None,
        }
    }

    /// Why the connection ended, or is closing.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            StreamError::Lost(lost) => Some(&lost.reason),
            StreamError::Closing { cause } => cause.as_ref(),
            StreamError::ShutDown => None,
        }
    }

    /// The one inside an `io::Error`, if it is one of ours.
    pub fn of(error: &io::Error) -> Option<&StreamError> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn into_read_error(self) -> io::Error {
        let kind = match self.reason() {
            Some(Reason::Truncated) => io::ErrorKind::UnexpectedEof,
            Some(Reason::Reset) => io::ErrorKind::ConnectionReset,
            Some(Reason::TimedOut(_)) => io::ErrorKind::TimedOut,
            Some(Reason::Alert(_) | Reason::Tls(_) | Reason::Protocol(_)) => io::ErrorKind::InvalidData,
            Some(Reason::Io(_) | Reason::Panicked(_)) => io::ErrorKind::Other,
            _ => io::ErrorKind::ConnectionAborted,
        };
        io::Error::new(kind, self)
    }

    pub(super) fn into_write_error(self) -> io::Error {
        match self {
            StreamError::Lost(_) => self.into_read_error(),
            _ => io::Error::new(io::ErrorKind::BrokenPipe, self),
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Lost(lost) => lost.fmt(f),
            StreamError::Closing { cause: Some(reason) } => write!(f, "the connection is closing: {reason}"),
            StreamError::Closing { cause: None } => f.write_str("the connection is closing"),
            StreamError::ShutDown => f.write_str("the stream was shut down for writing"),
        }
    }
}

impl std::error::Error for StreamError {}
