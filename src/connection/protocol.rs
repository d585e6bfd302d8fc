//! What a user writes to speak a protocol of their own.

use std::{fmt, task::Context};

use bytes::BytesMut;
use tokio::time::Instant;

use super::Io;
use crate::fate::Lost;

/// What is done with the bytes of a connection: called inside its actor, never from inside a call of yours into [`Io`].
///
/// ```text
/// connected -> data* -> end_of_stream? -> lost          (lost alone, when the connection never opened)
///               ^  v
///        secured, unwrapped                             (where TLS is started or ended in between)
/// ```
///
/// `lost` is called exactly once for every connection that was admitted; `connected` at most once; nothing after `lost`.
///
/// A panic in any of these ends the connection as [`Reason::Panicked`](crate::Reason::Panicked); other connections go on.
///
/// ```
/// use bytes::BytesMut;
/// use exeunt::{Io, Protocol, ProtocolError};
///
/// /// Sends everything back.
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
///         io.write_bytes(data.split().freeze());
///         Ok(())
///     }
///
///     // Back-pressure: while the peer does not read what it is sent, do not read what it sends.
///     fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
///         io.hold_reading(on);
///     }
/// }
/// ```
#[allow(unused_variables)]
pub trait Protocol: Sized + Unpin + Send + 'static {
    /// The handshake succeeded.
    fn connected(&mut self, io: &mut Io<'_, Self>) {}

    /// Bytes have come. `data` holds everything that was received and not yet consumed: take from its front what you can use, and leave the rest; it is shown again, with
    /// what has come since. Leaving more than [`Options::unread`](crate::Options::unread) ends the connection as a protocol error, and so does `Err`.
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError>;

    /// The peer will send no more. After [`EndOfStream::CloseNotify`] it may still read: to go on writing, do not call [`Io::close`], which is what the default does. After
    /// [`EndOfStream::Truncated`] the connection is closing already; what was accepted is still offered to the peer.
    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        io.close();
    }

    /// `on`: as much as the [high-water mark](crate::Options::write_high) allows is waiting to be written; `false`: it has fallen to the low mark. Alternating, beginning with `true`.
    /// [`Io::write`] accepts all the same: to keep memory bounded is then yours.
    fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {}

    /// The supervisor is stopping: finish what you are doing, until `until` at the latest, then call [`Io::close`]. The default calls it at once.
    fn drain(&mut self, io: &mut Io<'_, Self>, until: Instant) {
        io.close();
    }

    /// When [`timeout`](Protocol::timeout) shall be called. Asked after everything else; a moment in the past counts as now. Default: never.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The [`deadline`](Protocol::deadline) has passed. It must then answer with a later one, or `None`.
    fn timeout(&mut self, io: &mut Io<'_, Self>) {}

    /// Called each time that the actor is polled while it is open or closing, before anything is written or read: for a protocol that waits for futures of its own. Register `cx` with them. What can be written when
    /// is told by [`pressure`](Protocol::pressure). Default: nothing.
    fn poll(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {}

    /// The open connection has moved nothing for a second or two, and gives its buffers back: give back yours, for there may be thousands like it. Told once, until something moves again. Default: nothing.
    fn idle(&mut self, io: &mut Io<'_, Self>) {}

    /// TLS that [was started](Io::start_tls) on this open connection is there: what comes from here on came by it, and what was written since goes by it.
    fn secured(&mut self, io: &mut Io<'_, Self>) {}

    /// TLS [has ended](Io::stop_tls), and the connection goes on: what comes from here on came behind it, and what was written since goes so. What was left unconsumed came by TLS: what comes is
    /// appended to it, unless [`Io::take_unread`] takes it now.
    fn unwrapped(&mut self, io: &mut Io<'_, Self>) {}

    /// The end: the socket is closed and the TLS state is freed. Also called when the actor panicked, when it was killed, and when its runtime was torn down: spawn nothing here.
    fn lost(&mut self, lost: &Lost) {}
}

/// How the peer ended its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndOfStream {
    /// By close_notify: nothing is missing.
    CloseNotify,
    /// By a FIN, on a connection without TLS, where there is no other way to end: whether something is missing cannot be told.
    Fin,
    /// By a bare FIN: what was received may be cut short. The connection ends as [`Truncated`](crate::Reason::Truncated).
    Truncated,
}

impl EndOfStream {
    /// Whether the peer ended as it should.
    pub fn is_clean(self) -> bool {
        self != EndOfStream::Truncated
    }
}

/// The peer's bytes do not fit the protocol, or the protocol was used wrongly: in words that its user understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError(pub String);

impl ProtocolError {
    /// An error in these words.
    pub fn new(words: impl Into<String>) -> Self {
        ProtocolError(words.into())
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProtocolError {}

impl From<std::io::Error> for ProtocolError {
    fn from(error: std::io::Error) -> Self {
        ProtocolError(error.to_string())
    }
}
