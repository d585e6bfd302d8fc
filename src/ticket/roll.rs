//! What the roll tells of a living connection.

use std::{fmt, time::Duration};

use crate::{
    fate::{ConnectionId, Peer, Role},
    lifecycle::Phase,
};

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
#[repr(u8)]
pub enum WaitingFor {
    /// The resolver, or a TCP connect.
    Connect,
    /// The peer's part of the TLS handshake.
    Handshake,
    /// Bytes from the peer: it is idle.
    Peer,
    /// The application, which has paused reading or whose handler is busy.
    Application,
    /// The peer to take what we have written.
    PeerToRead,
    /// The peer's close_notify.
    CloseNotify,
}

impl WaitingFor {
    pub(super) const ALL: [WaitingFor; 6] = [
        WaitingFor::Connect,
        WaitingFor::Handshake,
        WaitingFor::Peer,
        WaitingFor::Application,
        WaitingFor::PeerToRead,
        WaitingFor::CloseNotify,
    ];
}

impl fmt::Display for WaitingFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            WaitingFor::Connect => "connect",
            WaitingFor::Handshake => "handshake",
            WaitingFor::Peer => "peer",
            WaitingFor::Application => "application",
            WaitingFor::PeerToRead => "peer to read",
            WaitingFor::CloseNotify => "close_notify",
        })
    }
}

/// One living connection, as [`Roll`](crate::Roll) tells it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RollEntry {
    /// Which connection.
    pub id: ConnectionId,
    /// To whom.
    pub peer: Peer,
    /// Client or server.
    pub role: Role,
    /// Where in its life.
    pub phase: Phase,
    /// Since its admission.
    pub age: Duration,
    /// Since a byte was moved or the phase changed.
    pub since_progress: Duration,
    /// What it waits for.
    pub waiting_for: WaitingFor,
}
