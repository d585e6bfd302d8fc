//! Who is to blame for an error of HTTP/2. hyper says that it is one and no more; what lies under it is h2's.

use crate::http::incoming::words;

/// What an error means.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum Blame {
    /// The peer takes no more requests, and did not process this one. `Some`: why, if it gives an error for a reason.
    GoAway(Option<String>),
    /// The peer has refused the stream before it processed anything.
    Refused,
    /// The peer has reset the stream, with the error of this name.
    Reset(String),
    /// What the peer has sent is not HTTP/2.
    NotHttp(String),
    /// A PING was not answered.
    TimedOut,
    /// Neither says more: the stream of bytes has ended, or hyper was dropped.
    Ended,
    /// We have reset the stream, or cannot send what was asked for. In words.
    Ours(String),
}

impl Blame {
    pub(in crate::http) fn of(error: &hyper::Error) -> Blame {
        if error.is_timeout() {
            return Blame::TimedOut;
        }
        let Some(cause) = source::<h2::Error>(error) else {
            // hyper has no predicate for its own task's being gone, which is so when the connection has ended and it was dropped.
            let dropped =
                error.is_canceled() || error.is_closed() || error.to_string().contains("dispatch task is gone");
            return if dropped || source::<std::io::Error>(error).is_some() {
                Blame::Ended
            } else {
                Blame::Ours(words(error))
            };
        };
        let name = || cause.reason().map_or_else(|| cause.to_string(), |reason| format!("{reason:?}"));
        match cause.reason() {
            _ if cause.is_io() => Blame::Ended,
            Some(h2::Reason::NO_ERROR) if cause.is_go_away() && cause.is_remote() => Blame::GoAway(None),
            Some(h2::Reason::REFUSED_STREAM) if cause.is_reset() && cause.is_remote() => Blame::Refused,
            _ if cause.is_go_away() && cause.is_remote() => Blame::GoAway(Some(words(cause))),
            _ if cause.is_reset() && cause.is_remote() => Blame::Reset(name()),
            _ if cause.is_library() => Blame::NotHttp(words(cause)),
            _ => Blame::Ours(words(cause)),
        }
    }
}

fn source<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        match error.downcast_ref() {
            Some(found) => return Some(found),
            None => source = error.source(),
        }
    }
    None
}
