//! What happens to a request, for whoever wants to draw its waterfall.

use std::fmt;

use http::{Method, StatusCode, Uri};
use tokio::time::Instant;

use crate::{
    fate::{ConnectionId, Lost},
    http::{BodyEnd, Error},
};

/// The number of a request in its session, from 1. A redirect and a retry are the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) u64);

impl RequestId {
    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a request is and how far it has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Moment<'a> {
    /// Which request.
    pub request: RequestId,
    /// How it is asked now: a redirect may have changed both.
    pub method: &'a Method,
    /// Where.
    pub uri: &'a Uri,
    /// How often it was written to a connection.
    pub attempt: u32,
    /// Its connection, when it has one.
    pub connection: Option<ConnectionId>,
    /// When.
    pub at: Instant,
}

/// Called as things happen to the requests of a session, and to its connections: on the thread where they happen, so do not wait in it. Every method does nothing by default.
///
/// ```text
/// queued -> reused                                      -> sent -> first_byte -> body_end
///        -> resolved -> dialled -> handshaken (a new one)       -> redirect, retry: from queued again
/// failed: in place of what would have followed
/// ```
///
/// `resolved`, `dialled` and `handshaken` are of a connection, and told together when it is open or lost, with the moments at which they were; the connection may then serve another request than that
/// for which it was dialled.
#[allow(unused_variables)]
pub trait Hooks: Send + Sync + 'static {
    /// It asks the pool for a connection.
    fn queued(&self, moment: Moment<'_>) {}
    /// It has one that had served another before.
    fn reused(&self, moment: Moment<'_>) {}
    /// A connection's name was resolved.
    fn resolved(&self, connection: ConnectionId, host: &str, at: Instant) {}
    /// A connection's TCP was connected.
    fn dialled(&self, connection: ConnectionId, host: &str, at: Instant) {}
    /// A connection's TLS handshake was done.
    fn handshaken(&self, connection: ConnectionId, host: &str, at: Instant) {}
    /// It was given to its connection.
    fn sent(&self, moment: Moment<'_>) {}
    /// The head of the response is there.
    fn first_byte(&self, moment: Moment<'_>, status: StatusCode) {}
    /// The response's body was read to its end, has failed, or was dropped.
    fn body_end(&self, moment: Moment<'_>, end: &BodyEnd) {}
    /// It is asked again, elsewhere: `moment` tells how it was asked.
    fn redirect(&self, moment: Moment<'_>, status: StatusCode, to: &Uri) {}
    /// It is asked again, because of this.
    fn retry(&self, moment: Moment<'_>, error: &Error) {}
    /// It has no response.
    fn failed(&self, moment: Moment<'_>, error: &Error) {}
    /// A connection of the session's has ended.
    fn lost(&self, lost: &Lost) {}
}
