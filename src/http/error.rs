//! Why a request has no response, by who is to blame.

use std::{fmt, time::Duration};

use http::{Method, Uri};

use super::{BodyError, ExchangeError, NotProcessed};
use crate::{
    connection::ConnectError,
    fate::{Lost, Reason},
    ticket::Refusal,
};

/// Why a request has no response.
#[derive(Debug)]
pub struct Error {
    pub(super) kind: ErrorKind,
    /// What was asked, when it came so far that it is known.
    pub(super) asked: Option<Box<(Method, Uri)>>,
    /// How often it was sent.
    pub(super) attempts: u32,
}

/// The kinds of [`Error`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's: this cannot be asked for. In words.
    Request(String),
    /// Ours: the session is closed, or closing.
    Closed,
    /// Ours: no connection was admitted, because the supervisor is stopping or full.
    Refused(Refusal),
    /// The network's, the peer's or the configuration's: there was no connection.
    Connect(ConnectError),
    /// A deadline passed.
    TimedOut {
        /// Which.
        what: Deadline,
        /// How long it was.
        after: Duration,
    },
    /// The connection ended after the request, or a part of it, was written, and before the head of a response came: nobody knows what the peer did.
    Lost(Option<Reason>),
    /// The peer says that it did not process the request: it can be asked again whatever its method, and was, as often as [`Retry`](super::Retry) says and its body was there again. On HTTP/2 only.
    NotProcessed(NotProcessed),
    /// The peer has reset the request before the head of a response came, by the name of the error that it gives (RFC 9113, section 7). On HTTP/2 only.
    Reset(String),
    /// What the peer sent is no HTTP.
    NotHttp(String),
    /// The body of the request failed. In its own words.
    Body(String),
    /// The body of a response that was to be thrown away could not be read.
    Response(BodyError),
    /// A redirect that was not followed.
    Redirect(RedirectError),
    /// The caller's: the peer asks for digest authorization, and so for the request once more, whose body is a stream and was sent already. Send bytes; or a request without a body first, after which the session answers unasked.
    #[cfg(feature = "digest")]
    Unrepeatable,
}

/// The deadlines of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deadline {
    /// Of everything, the response's body included.
    Total,
    /// Of the wait for a connection from the pool.
    Pool,
    /// From the request's being given to its connection to the head of the response.
    FirstByte,
}

/// Why a redirect was not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectError {
    /// So many were followed, and here is another.
    TooMany(usize),
    /// It leads to what was asked before in the same way.
    Loop(String),
    /// Its `Location` is missing or no URL that can be asked for.
    Location(String),
    /// The request's body is a stream, which is there only once, and the status wants it sent again.
    BodyGone,
}

impl Error {
    pub(super) fn new(kind: ErrorKind) -> Self {
        Error { kind, asked: None, attempts: 0 }
    }

    pub(super) fn request(words: impl Into<String>) -> Self {
        Error::new(ErrorKind::Request(words.into()))
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// How often the request was written to a connection, wholly or in part. 0: the peer has not seen it, so it can be asked again whatever its method.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the peer may have seen the request. One that [it did not process](ErrorKind::NotProcessed) counts as seen.
    pub fn was_sent(&self) -> bool {
        self.attempts > 0
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, ErrorKind::TimedOut { .. })
    }

    /// Whether a stop or a close of our own is the cause.
    pub fn is_stopping(&self) -> bool {
        matches!(self.kind, ErrorKind::Closed | ErrorKind::Refused(Refusal::Stopping))
    }

    /// How the connection ended, when it ended before it was open.
    pub fn lost(&self) -> Option<&Lost> {
        match &self.kind {
            ErrorKind::Connect(error) => error.lost(),
            _ => None,
        }
    }

    pub(super) fn of_connect(error: ConnectError) -> Self {
        Error::new(match error {
            ConnectError::Refused(refusal) => ErrorKind::Refused(refusal),
            error => ErrorKind::Connect(error),
        })
    }

    pub(super) fn of_exchange(error: ExchangeError) -> Self {
        Error::new(match error {
            ExchangeError::NotSent { reason, .. } | ExchangeError::Lost { reason } => ErrorKind::Lost(reason),
            ExchangeError::NotProcessed { why, .. } => ErrorKind::NotProcessed(why),
            ExchangeError::Reset(name) => ErrorKind::Reset(name),
            ExchangeError::NotHttp(words) => ErrorKind::NotHttp(words),
            ExchangeError::Body(words) => ErrorKind::Body(words),
            ExchangeError::Request(words) => ErrorKind::Request(words),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(asked) = &self.asked {
            write!(f, "{} {}: ", asked.0, WithoutSecrets(&asked.1))?;
        }
        self.kind.fmt(f)?;
        match self.attempts {
            0 | 1 => Ok(()),
            n => write!(f, " (after {n} attempts)"),
        }
    }
}

/// A URI as it may stand in a log: without the user and the password in it.
pub(super) struct WithoutSecrets<'a>(pub(super) &'a Uri);

impl fmt::Display for WithoutSecrets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.0.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        if let Some(authority) = self.0.authority() {
            let authority = authority.as_str();
            f.write_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host))?;
        }
        f.write_str(self.0.path())?;
        self.0.query().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Request(words) => write!(f, "this cannot be asked for: {words}"),
            ErrorKind::Closed => f.write_str("not sent: the session is closed"),
            ErrorKind::Refused(refusal) => write!(f, "not sent: {refusal}"),
            ErrorKind::Connect(error) => write!(f, "no connection: {error}"),
            ErrorKind::TimedOut { what, after } => write!(f, "timed out: {what} within {after:?}"),
            ErrorKind::Lost(Some(reason)) => write!(f, "the connection ended before a response: {reason}"),
            ErrorKind::Lost(None) => f.write_str("the connection was closed before a response"),
            ErrorKind::NotProcessed(why) => write!(f, "not processed: {why}"),
            ErrorKind::Reset(name) => write!(f, "the peer has reset the request: {name}"),
            ErrorKind::NotHttp(words) => write!(f, "the peer did not answer in HTTP: {words}"),
            ErrorKind::Body(words) => write!(f, "the request's body failed: {words}"),
            ErrorKind::Response(error) => error.fmt(f),
            ErrorKind::Redirect(error) => error.fmt(f),
            #[cfg(feature = "digest")]
            ErrorKind::Unrepeatable => f.write_str(
                "the peer asks for digest authorization, but the request's body is a stream and was sent already: send bytes, or a request without a body first",
            ),
        }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Deadline::Total => "not done",
            Deadline::Pool => "no connection was to be had from the pool",
            Deadline::FirstByte => "no response came",
        })
    }
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedirectError::TooMany(most) => write!(f, "redirected more than {most} times"),
            RedirectError::Loop(to) => write!(f, "redirected in a circle, to {to}"),
            RedirectError::Location(words) => write!(f, "redirected to nowhere: {words}"),
            RedirectError::BodyGone => {
                f.write_str("redirected, but the request's body is a stream and was sent already")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Connect(error) => Some(error),
            ErrorKind::Response(error) => Some(error),
            ErrorKind::Redirect(error) => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for RedirectError {}
