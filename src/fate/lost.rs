//! The end of one connection.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use super::Reason;
use crate::lifecycle::Phase;

/// The number of a connection: unique in its supervisor, counted from 1 in the order of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which side of the TLS handshake we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Role {
    /// We dialled, or adopted a connected socket.
    Client,
    /// We accepted, or adopted an accepted socket.
    Server,
}

impl Role {
    /// `"client"` or `"server"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who is at the other end: the name that was asked for, and the address once there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// `host:port` or `unix:` and a path, as it was asked for; for an accepted connection its address; for a socket without one, what it was called when it was adopted.
    pub name: Arc<str>,
    /// The address that the socket is connected to; by a proxy, the proxy's. `None` until the dial is done, and for sockets that have none.
    pub address: Option<SocketAddr>,
}

impl Peer {
    /// A peer that is known by name only.
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Peer { name: name.into(), address: None }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Peer { name: address.to_string().into(), address: Some(address) }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// What is known of how the two directions were closed.
///
/// A connection without TLS knows no close_notify: there [`fin_seen`](CloseProof::fin_seen) is all the proof there is.
///
/// It says what left our buffers and what was read, no more: that the peer's *application* read what we sent is known only if the peer says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CloseProof {
    /// Our close_notify, and everything accepted before it, was taken by the operating system.
    pub close_notify_sent: bool,
    /// The peer's close_notify was read.
    pub close_notify_received: bool,
    /// The peer's FIN was read. After a close_notify from the peer nobody reads on, so this stays `false` for a clean close.
    pub fin_seen: bool,
}

/// The end of a connection: sent exactly once for each that was admitted, when its socket is closed and its TLS state is freed.
///
/// As a message it goes to the owner of a connection with the [events](crate::Events) protocol; as a value to [`Protocol::lost`](crate::Protocol::lost), to every
/// [subscriber](crate::Subscribe), into the [ledger](crate::Ledger) and into the errors of calls that came too late.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lost {
    /// Which connection.
    pub id: ConnectionId,
    /// To whom.
    pub peer: Peer,
    /// Client or server.
    pub role: Role,
    /// The phase in which it ended: never [`Phase::Lost`].
    pub phase: Phase,
    /// Why.
    pub reason: Reason,
    /// What is known of how it was closed.
    pub proof: CloseProof,
    /// Whether it was TLS when it ended, or would have been.
    pub secure: bool,
    /// Application bytes received.
    pub bytes_in: u64,
    /// Application bytes that were taken by the operating system, encrypted.
    pub bytes_out: u64,
    /// Application bytes that were accepted for writing and never left our buffers.
    pub bytes_unsent: u64,
    /// The time from admission to the end.
    pub age: Duration,
}

impl actix::Message for Lost {
    type Result = ();
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} ({} {}) ended {}: {}", self.id, self.role, self.peer, self.phase, self.reason)?;
        if self.bytes_unsent > 0 {
            write!(f, "; {} bytes were accepted and not sent", self.bytes_unsent)?;
        }
        Ok(())
    }
}
