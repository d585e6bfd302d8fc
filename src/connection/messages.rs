//! The messages that every connection understands, whatever its protocol.

use std::{fmt, net::SocketAddr, time::Duration};

use actix::{Handler, Message};
use bytes::Bytes;

use super::{
    Connection, LateData, Protocol,
    link::WaitingWrite,
    reply::{Parked, Reply},
};
use crate::{
    fate::{ConnectionId, Lost, Peer, Reason, Role},
    lifecycle::Phase,
    tls::TlsInfo,
};

/// Accepts bytes for writing. It answers when they are accepted, which is when less than the [high-water mark](crate::Options::write_high) is waiting to be written: so
/// a writer that awaits the answer is slowed by a slow peer. What was accepted is written before a close, or counted in [`Lost::bytes_unsent`].
///
/// `Write`s are taken in the order in which they come. What the protocol writes by itself ([`Io::write`](crate::Io::write), a [`Call`](crate::Call)) does not wait in their line: it goes before those that wait for room.
///
/// Sent with `do_send`, nobody can be slowed: when as much as the high-water mark is already waiting for room, the connection ends as a
/// [protocol error](crate::Reason::Protocol), because a stream with a hole is worse than none.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), WriteError>")]
pub struct Write(pub Bytes);

impl Write {
    /// Writes these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Write(bytes.into())
    }
}

/// Answers when everything that was accepted before has been taken by the operating system.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), WriteError>")]
pub struct Flush;

/// Closes gracefully; answers with the [`Lost`], when the connection is gone. Closing twice is fine: both get the same answer, and what the later one says of linger and
/// late data holds from then on. Before the connection is open, it cancels it.
#[derive(Clone, Debug, Default, Message)]
#[rtype(result = "Lost")]
pub struct Close {
    pub(super) linger: Option<Duration>,
    pub(super) late_data: Option<LateData>,
}

impl Close {
    /// As the connection's options say.
    pub fn new() -> Self {
        Close::default()
    }

    /// How long to wait for the peer's close_notify. Default: the connection's [`Options::linger`](crate::Options::linger).
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = Some(linger);
        self
    }

    /// What becomes of data that still comes. Default: the connection's [`Options::late_data`](crate::Options::late_data).
    pub fn late_data(mut self, late_data: LateData) -> Self {
        self.late_data = Some(late_data);
        self
    }
}

/// Ends the connection at once, in any phase: nothing more is written, no close_notify, no wait. Answers with the [`Lost`].
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Lost")]
pub struct Abort;

/// Closes our direction (everything accepted, then close_notify) and reads on until the peer closes its own, however long that takes; a
/// [`Close`] starts the linger. The peer may go on sending: TLS 1.3 half-close, RFC 8446, section 6.1. TLS 1.2 peers may answer at once (RFC 5246, section 7.2.1).
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct HalfClose;

/// Stops reading from the socket: the peer is slowed by TCP. Idempotent.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct PauseReading;

/// Goes on reading. Idempotent.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct ResumeReading;

/// Asks what is known of the connection. It copies certificates.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Info")]
pub struct GetInfo;

/// What is known of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Which connection.
    pub id: ConnectionId,
    /// Client or server.
    pub role: Role,
    /// To whom: name and address.
    pub peer: Peer,
    /// Our end of the socket.
    pub local_address: Option<SocketAddr>,
    /// Where in its life it is.
    pub phase: Phase,
    /// Version, cipher, ALPN, resumption, certificates. `None` before the handshake is done, and without TLS.
    pub tls: Option<TlsInfo>,
    /// Application bytes received.
    pub bytes_in: u64,
    /// Application bytes written.
    pub bytes_out: u64,
    /// Application bytes accepted, or waiting to be, and not written.
    pub bytes_waiting: u64,
}

/// Why bytes were not accepted, or not flushed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// A close was asked for; nothing is accepted after it.
    Closing,
    /// The connection has ended, as this says.
    Lost(Box<Lost>),
    /// As much as the high-water mark is already waiting for room: await the answers of the writes before.
    Overrun,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Closing => f.write_str("the bytes were not accepted: the connection is closing"),
            WriteError::Lost(lost) => write!(f, "the bytes were not sent: {lost}"),
            WriteError::Overrun => f.write_str(
                "the bytes were not accepted: too many writes are waiting for the peer; await the answer of one before the next",
            ),
        }
    }
}

impl std::error::Error for WriteError {}

impl<P: Protocol> Handler<Write> for Connection<P> {
    type Result = Parked<Result<(), WriteError>>;

    fn handle(&mut self, Write(bytes): Write, _: &mut Self::Context) -> Self::Result {
        let link = &mut self.link;
        if link.life.is_closing() {
            return Parked::now(Err(WriteError::Closing));
        }
        if link.waiting_writes.is_empty() && link.out.len() < link.options.write_high {
            link.accepted += bytes.len() as u64;
            link.out.push(bytes);
            return Parked::now(Ok(()));
        }
        // One write may be larger than the mark; what is bounded is how much waits behind it. What it takes to wait counts, too, or writes of a byte would be bounded by nothing.
        let waiting = link.waiting_bytes + link.waiting_writes.len() * std::mem::size_of::<WaitingWrite>();
        if waiting >= link.options.write_high {
            let (reply, parked) = Reply::later();
            link.overruns.push(reply);
            return parked;
        }
        let (reply, parked) = Reply::later();
        link.waiting_bytes += bytes.len();
        link.waiting_writes.push_back(WaitingWrite { bytes, reply });
        parked
    }
}

impl<P: Protocol> Handler<Flush> for Connection<P> {
    type Result = Parked<Result<(), WriteError>>;

    fn handle(&mut self, _: Flush, _: &mut Self::Context) -> Self::Result {
        let link = &mut self.link;
        let upto = link.accepted + link.waiting_bytes as u64;
        if upto == link.bytes_out {
            return Parked::now(Ok(()));
        }
        let (reply, parked) = Reply::later();
        link.waiting_flushes.push_back((upto, reply));
        parked
    }
}

impl<P: Protocol> Handler<Close> for Connection<P> {
    type Result = Parked<Lost>;

    fn handle(&mut self, close: Close, _: &mut Self::Context) -> Self::Result {
        self.link.close(close, None);
        self.tell_the_end()
    }
}

impl<P: Protocol> Handler<Abort> for Connection<P> {
    type Result = Parked<Lost>;

    fn handle(&mut self, _: Abort, _: &mut Self::Context) -> Self::Result {
        self.link.abort(Reason::Aborted);
        self.tell_the_end()
    }
}

impl<P: Protocol> Connection<P> {
    fn tell_the_end(&mut self) -> Parked<Lost> {
        let (reply, parked) = Reply::later();
        self.link.waiting_ends.push(reply);
        parked
    }
}

impl<P: Protocol> Handler<HalfClose> for Connection<P> {
    type Result = ();

    fn handle(&mut self, _: HalfClose, _: &mut Self::Context) {
        self.link.half_close();
    }
}

impl<P: Protocol> Handler<PauseReading> for Connection<P> {
    type Result = ();

    fn handle(&mut self, _: PauseReading, _: &mut Self::Context) {
        self.link.paused = true;
    }
}

impl<P: Protocol> Handler<ResumeReading> for Connection<P> {
    type Result = ();

    fn handle(&mut self, _: ResumeReading, _: &mut Self::Context) {
        self.link.show_again |= self.link.paused;
        self.link.paused = false;
    }
}

impl<P: Protocol> Handler<GetInfo> for Connection<P> {
    type Result = actix::MessageResult<GetInfo>;

    fn handle(&mut self, _: GetInfo, _: &mut Self::Context) -> Self::Result {
        actix::MessageResult(self.link.info())
    }
}
