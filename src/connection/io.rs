//! What a protocol may do with its connection.

use actix::{AsyncContext, Context};
use bytes::{Bytes, BytesMut};

use super::{Close, Connection, Handle, Info, Protocol, ProtocolError, StartTls, SwitchError, link::Link};
use crate::{
    fate::{ConnectionId, Peer, Reason, Role},
    lifecycle::Phase,
};

/// A protocol's hand on its connection, for as long as a callback lasts.
///
/// Nothing here waits and nothing here calls the protocol: bytes move, and phases change, after the callback has returned.
pub struct Io<'a, P: Protocol> {
    pub(super) link: &'a mut Link,
    pub(super) context: &'a mut Context<Connection<P>>,
}

impl<P: Protocol> Io<'_, P> {
    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.link.entry.id
    }

    /// To whom.
    pub fn peer(&self) -> Peer {
        self.link.entry.peer()
    }

    /// Client or server.
    pub fn role(&self) -> Role {
        self.link.entry.role
    }

    #[cfg(feature = "http2")]
    pub(crate) fn is_secure(&self) -> bool {
        self.link.entry.is_secure()
    }

    /// Where in its life the connection is.
    pub fn phase(&self) -> Phase {
        self.link.life.phase
    }

    /// What is known of the connection and its TLS session. It copies certificates: not for each message.
    pub fn info(&self) -> Info {
        self.link.info()
    }

    /// A handle to send messages to this connection by. The connection closes when the last one is dropped, so keep none in the protocol itself.
    pub fn handle(&self) -> Handle<P> {
        Handle::new(self.context.address(), self.link.entry.clone())
    }

    /// Accepts `bytes` for writing; `false`, and they are not accepted, when a close was asked for. It accepts more than the high-water mark: see [`Protocol::pressure`].
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let accepted = self.link.accept(bytes.len());
        if accepted {
            self.link.out.push_slice(bytes);
        }
        accepted
    }

    /// As [`write`](Io::write), without copying what is large.
    pub fn write_bytes(&mut self, bytes: Bytes) -> bool {
        let accepted = self.link.accept(bytes.len());
        if accepted {
            self.link.out.push(bytes);
        }
        accepted
    }

    /// Lets `encode` write into the connection's own buffer, which it sees as an empty one; nothing is written when it fails. When a close was asked for, it is not
    /// called, and nothing is written.
    pub fn write_with<E>(&mut self, encode: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        if !self.link.life.is_closing() {
            self.link.accepted += self.link.out.push_with(encode)? as u64;
        }
        Ok(())
    }

    /// Whether less is waiting to be written than the high-water mark.
    pub fn is_writable(&self) -> bool {
        self.link.is_writable()
    }

    /// Whether the supervisor has begun to drain: true from its order on, also before [`Protocol::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.link.life.draining || self.link.entry.is_draining()
    }

    /// Stops reading from the socket, or goes on: the protocol's own brake, beside the application's [`PauseReading`](super::PauseReading). What was left unconsumed is shown again
    /// on release.
    pub fn hold_reading(&mut self, hold: bool) {
        self.link.show_again |= self.link.held && !hold;
        self.link.held = hold;
    }

    /// Takes what was left unconsumed: at the end of the stream, when no more will come to complete it.
    pub fn take_unread(&mut self) -> BytesMut {
        std::mem::take(&mut self.link.unread)
    }

    /// Closes gracefully: what was accepted is written, then close_notify; then the peer's is awaited. Idempotent.
    pub fn close(&mut self) {
        self.link.close(Close::default(), None);
    }

    /// Closes gracefully, and the reason will be that the bytes did not fit the protocol.
    pub fn fail(&mut self, error: ProtocolError) {
        self.link.close(Close::default(), Some(Reason::Protocol(error.0)));
    }

    /// Closes our direction and reads on until the peer closes its own, without a linger deadline.
    pub fn half_close(&mut self) {
        self.link.half_close();
    }

    /// Starts TLS on this connection, when what was written has gone: see [`StartTls`]. What this callback leaves in its buffer belongs to the handshake. [`Protocol::secured`] is called when
    /// it has succeeded; when it fails, the connection is [lost](Protocol::lost).
    ///
    /// # Errors
    /// The configuration cannot be used, or it is not the time for it. The connection goes on as it was.
    pub fn start_tls(&mut self, start: StartTls) -> Result<(), SwitchError> {
        self.link.start_tls(start, None)
    }

    /// Ends TLS, and not the connection: see [`StopTls`](super::StopTls). [`Protocol::unwrapped`] is called when that is done.
    ///
    /// # Errors
    /// There is no TLS, its configuration reads ahead, or it is not the time for it. The connection goes on as it was.
    pub fn stop_tls(&mut self) -> Result<(), SwitchError> {
        self.link.stop_tls(None)
    }

    /// Ends the connection at once: nothing more is written, no close_notify, no wait.
    pub fn abort(&mut self) {
        self.link.abort(Reason::Aborted);
    }

    pub(crate) fn close_for(&mut self, reason: Reason) {
        self.link.close(Close::default(), Some(reason));
    }

    #[cfg(feature = "http")]
    pub(crate) fn abort_for(&mut self, reason: Reason) {
        self.link.abort(reason);
    }

    pub(crate) fn link(&mut self) -> &mut Link {
        self.link
    }
}

impl Link {
    pub(super) fn info(&self) -> Info {
        Info {
            id: self.entry.id,
            role: self.entry.role,
            peer: self.entry.peer(),
            local_address: self.stream.as_ref().and_then(|stream| stream.local_addr()),
            phase: self.life.phase,
            tls: (self.life.phase >= Phase::Open)
                .then(|| self.stream.as_ref().and_then(|stream| stream.info()))
                .flatten(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            bytes_waiting: self.unsent(),
        }
    }

    /// The peer has ended its direction; the protocol is to be told by the caller.
    pub(super) fn peer_ended(&mut self, clean: bool) {
        let delivers_late = self.delivers_late();
        let event = self.life.peer_ended(clean, delivers_late);
        self.on(event);
    }
}
